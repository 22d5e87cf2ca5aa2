"""What each worker says of itself, so that an idle one counts too: Redis's own idle times tell of jobs, not workers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from pydantic import ConfigDict, RootModel, ValidationError
from redis.exceptions import ResponseError

from streamtag.core.records import WorkerView
from streamtag.queue.connection import Connection, text
from streamtag.queue.failures import GroupMissing
from streamtag.queue.keys import GROUP
from streamtag.redaction import printable

MAX_BYTES = 64 * 1024  # of a heartbeat, however many and long its offers
MAX_WORKERS = 1000


class _Said(RootModel[WorkerView]):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Heartbeats:
    """One worker's, over the connection of its leases thread: a worker that renews is one that lives."""

    def __init__(self, connection: Connection, worker_id: str, good_for_s: float) -> None:
        self._connection = connection
        self._key = connection.keys.worker(worker_id)
        self._good_for_ms = int(good_for_s * 1000)
        self._others: list[str] = []  # keys of the other workers' heartbeats

    def beat(self, view: WorkerView) -> None:
        """Say that this worker is there, for the next ``good_for_s``."""
        self._connection.script("beat", [self._key], [orjson.dumps(view), self._good_for_ms])

    def find(self) -> None:
        """See which other workers the queue has."""
        keys = self._connection.keys
        try:
            with self._connection.asking(f"XINFO CONSUMERS {keys.jobs}", of_queue=True):
                rows = self._consumers()
        except GroupMissing:
            rows = []
        names = [keys.worker(text(row["name"])) for row in rows]
        self._others = [name for name in names if name != self._key][:MAX_WORKERS]

    def others(self) -> list[WorkerView]:
        """What the workers that were found say of themselves."""
        if not self._others:
            return []
        with self._connection.asking(f"MGET {self._others[0]}", of_queue=True):
            found = self._connection.client.mget(self._others)
        views = [read_heartbeat(value) for value in found if value is not None]
        return [view for view in views if view is not None]

    def _consumers(self) -> list[dict[str, Any]]:
        jobs = self._connection.keys.jobs
        try:
            rows: list[dict[str, Any]] = self._connection.client.xinfo_consumers(jobs, GROUP)
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            return []  # before the first job or worker
        return rows

    def stop(self) -> None:
        """Say that it is gone."""
        with self._connection.asking(f"DEL {self._key}"):
            self._connection.client.delete(self._key)


def read_heartbeat(value: bytes) -> WorkerView | None:
    """What a worker said; None where it is not what a worker of this version says."""
    if len(value) > MAX_BYTES:
        return None
    try:
        view = _Said.model_validate_json(value).root
    except ValidationError:
        return None
    if any(isinstance(number, int) and not 0 <= number < 2**53 for number in view.to_dict().values()):
        return None  # more than JSON can say again
    texts: dict[str, Any] = {
        name: printable(value, 200) for name, value in view.to_dict().items() if isinstance(value, str)
    }
    return replace(view, **texts)
