"""Names of every key, in one place. All keys of a shard carry its hash tag, so each script stays in one slot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GROUP = "workers"


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of all keys of one queue."""

    prefix: str
    model: str
    shard: int

    @property
    def base(self) -> str:
        return f"{self.prefix}:{{{queue_name(self.model)}.{self.shard}}}"

    @property
    def jobs(self) -> str:
        """Stream of jobs waiting and running, read by the group ``workers``."""
        return f"{self.base}:jobs"

    @property
    def events(self) -> str:
        return f"{self.base}:events"

    @property
    def dlq(self) -> str:
        return f"{self.base}:dlq"

    @property
    def notify_lease(self) -> str:
        """Whose turn it is to tell events."""
        return f"{self.base}:notify:lease"

    @property
    def notify_dlq(self) -> str:
        """Events that a sink did not take."""
        return f"{self.base}:notify:dlq"

    def notify_sink(self, name: str) -> str:
        """Where a sink stands in the events."""
        return f"{self.base}:notify:sink:{name}"

    def worker(self, worker_id: str) -> str:
        return f"{self.base}:worker:{worker_id}"

    def job(self, job_id: str) -> str:
        return f"{self.base}:job:{job_id}"

    def results(self, job_id: str) -> str:
        return f"{self.base}:res:{job_id}"

    def thumb(self, job_id: str) -> str:
        """The newest picture of a job."""
        return f"{self.base}:thumb:{job_id}"

    def pictures(self, job_id: str) -> str:
        """Stream of what was seen in a job."""
        return f"{self.base}:pics:{job_id}"


@cache  # asked for with each key
def queue_name(model: str) -> str:
    """The queue of a model: its name, or for the folder of a bundle the folder's name.

    Braces would end the hash tag early, and glob signs would widen a SCAN.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "_", Path(model).name.lower() or "_")
