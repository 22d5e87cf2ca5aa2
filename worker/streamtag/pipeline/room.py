"""Whether Redis has room for new jobs: above a share of its memory none is taken, and those that run go on."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.queue.memory import REMEDY
from streamtag.queue.session import QueueSession

LOOK_S = 3.0
# Of the share: below it jobs are taken again. At one and the same figure workers would begin and stop all the time.
RESUME = 0.97


class Room:
    """What the claims thread knows of Redis's memory. Others read ``short``."""

    def __init__(self, session: QueueSession, metrics: Metrics, now_s: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._metrics = metrics
        self._now_s = now_s
        self._next_s = 0.0
        self.short = False

    def look(self) -> bool:
        """Whether a new job may be taken; asks Redis every few seconds.

        Raises:
            QueueUnavailable: Redis does not tell.
        """
        if self._now_s() >= self._next_s:
            memory, share = self._session.memory(), self._session.memory_share
            self._next_s = self._now_s() + LOOK_S
            self._metrics.redis_used.set(memory.used_bytes)
            self._metrics.redis_limit.set(memory.limit_bytes)
            short = memory.is_above(share * RESUME if self.short else share)
            if short and not self.short:
                log.warning("redis is short of memory, no new jobs are taken", memory=str(memory), remedy=REMEDY)
            elif self.short and not short:
                log.info("redis has memory again, new jobs are taken", memory=str(memory))
            self.short = short
            self._metrics.redis_short.set(short)
        return not self.short
