"""Redis away, as one thread sees it: told when it goes and when it is back, asked again with a growing back-off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from streamtag.errors import AccessDenied, QueueUnavailable
from streamtag.logs import log
from streamtag.metrics import Metrics

FIRST_S = 0.2
CAP_S = 2.0  # how late an idle thread may notice that Redis is back


class Outage:
    """The outage of Redis that a thread is in, or none.

    Args:
        thread: in whose log lines and figures it appears.
        on_redis: told whether Redis answers.
        chance: a number from 0 to 1, evenly: threads and workers do not come back all at once.
    """

    def __init__(
        self,
        thread: str,
        metrics: Metrics,
        on_redis: Callable[[bool], None] = lambda reachable: None,
        now_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._thread = thread
        self._metrics = metrics
        self._on_redis = on_redis
        self._now_s = now_s
        self._chance = chance
        self._outage_logged = False
        self._backoff_s = FIRST_S
        self._retry_s = 0.0

    def wait_s(self) -> float:
        """How long not to ask Redis; 0 when it may be asked."""
        return max(0.0, self._retry_s - self._now_s())

    def failed(self, error: QueueUnavailable) -> None:
        """Redis gave no answer."""
        self._metrics.redis_errors.labels(self._thread).inc()
        self._on_redis(False)
        if not self._outage_logged:
            event = "redis refuses us" if isinstance(error, AccessDenied) else "redis does not answer"
            log.warning(f"{event}, trying on", thread=self._thread, error=str(error))
        self._outage_logged = True
        self._retry_s = self._now_s() + self._backoff_s * (0.5 + self._chance() / 2)
        self._backoff_s = min(CAP_S, 2 * self._backoff_s)

    def answered(self) -> None:
        """Redis gave an answer."""
        self._on_redis(True)
        if self._outage_logged:
            log.info("redis is there again", thread=self._thread)
        self._outage_logged, self._backoff_s, self._retry_s = False, FIRST_S, 0.0
