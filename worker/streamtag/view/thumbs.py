"""The newest small pictures, of streams that somebody looks at: read once however many look."""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from streamtag.queue.connection import Connection
from streamtag.queue.pictures import is_jpeg

MAX_KEPT: Final = 1000
BATCH: Final = 50
WANTED_S: Final = 10.0  # for which a picture that was asked for is kept up to date


@dataclass(frozen=True, slots=True)
class Thumb:
    """One picture, as it goes into a message."""

    version: str  # the job's ``thumb`` when it was read
    jpeg_base64: str


class Thumbs:
    """Asked from the event loop, filled by the thread that looks at Redis."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Thumb] = OrderedDict()
        self._wanted: dict[str, float] = {}  # by job, when it was asked for last

    def get(self, job_id: str, now_s: float) -> Thumb | None:
        """What there is of a stream. It is looked after from now on."""
        with self._lock:
            if len(self._wanted) < MAX_KEPT:
                self._wanted[job_id] = now_s
            return self._kept.get(job_id)

    def read(self, connection: Connection, newest: dict[str, str], now_s: float) -> None:
        """Read those that are asked for and of which there is a newer one.

        Args:
            newest: by job, which one is the newest.

        Raises:
            QueueUnavailable: Redis does not tell.
        """
        with self._lock:
            self._wanted = {job_id: at_s for job_id, at_s in self._wanted.items() if now_s - at_s < WANTED_S}
            due = [job_id for job_id in self._wanted if self._is_old(job_id, newest.get(job_id, ""))]
        for begin in range(0, len(due), BATCH):
            batch = due[begin : begin + BATCH]
            commands = [("HGET", connection.keys.thumb(job_id), "jpeg") for job_id in batch]
            answers = connection.ask_each(f"HGET {connection.keys.thumb('')}*", commands)
            with self._lock:
                for job_id, answer in zip(batch, answers, strict=True):
                    self._keep(job_id, newest[job_id], answer)

    def _is_old(self, job_id: str, newest: str) -> bool:
        kept = self._kept.get(job_id)
        return bool(newest) and (kept is None or kept.version != newest)

    def _keep(self, job_id: str, version: str, jpeg: object) -> None:
        shown = base64.b64encode(jpeg).decode() if isinstance(jpeg, bytes) and is_jpeg(jpeg) else ""
        self._kept[job_id] = Thumb(version, shown)
        self._kept.move_to_end(job_id)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
