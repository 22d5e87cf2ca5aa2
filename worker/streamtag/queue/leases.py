"""Renewal of every lease this worker holds, from a connection of its own that nothing else may block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from streamtag.core.records import Claim
from streamtag.queue.connection import Connection, text
from streamtag.queue.keys import GROUP

Answer = Literal["OK", "LOST", "CANCELLED"]


class Leases:
    """Renews this worker's rights to its jobs."""

    def __init__(self, connection: Connection, consumer: str) -> None:
        self._connection = connection
        self._consumer = consumer

    def renew(self, claims: Sequence[Claim]) -> list[Answer]:
        """Renew in one call; an answer for each claim.

        Raises:
            QueueUnavailable: nothing was renewed.
        """
        if not claims:
            # Nothing to renew; whether Redis answers is still worth knowing.
            self._connection.ping()
            return []
        keys = self._connection.keys
        arguments: list[str | int] = [GROUP, self._consumer]
        for claim in claims:
            arguments += [claim.fence, claim.entry_id]
        names = [keys.jobs, *(keys.job(claim.job.job_id) for claim in claims)]
        return [text(answer) for answer in self._connection.script("renew", names, arguments)]  # type: ignore[misc]
