"""What each worker says of itself, so that an idle one counts too: Redis's own idle times tell of jobs, not workers."""

from __future__ import annotations

import orjson
from pydantic import ConfigDict, RootModel, ValidationError

from streamtag.core.records import WorkerView
from streamtag.queue.connection import Connection
from streamtag.redaction import printable


class _Said(RootModel[WorkerView]):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Heartbeats:
    """One worker's, over the connection of its leases thread: a worker that renews is one that lives."""

    def __init__(self, connection: Connection, worker_id: str, good_for_s: float) -> None:
        self._connection = connection
        self._key = connection.keys.worker(worker_id)
        self._good_for_ms = int(good_for_s * 1000)

    def beat(self, view: WorkerView) -> None:
        """Say that this worker is there, for the next ``good_for_s``."""
        self._connection.script("beat", [self._key], [orjson.dumps(view.to_dict()), self._good_for_ms])

    def stop(self) -> None:
        """Say that it is gone."""
        with self._connection.asking(f"DEL {self._key}"):
            self._connection.client.delete(self._key)


def read_heartbeat(value: bytes) -> WorkerView | None:
    """What a worker said; None where it is not what a worker of this version says."""
    try:
        view = _Said.model_validate_json(value).root
    except ValidationError:
        return None
    if any(isinstance(number, int) and not 0 <= number < 2**53 for number in view.to_dict().values()):
        return None  # more than JSON can say again
    texts = {name: printable(text, 200) for name, text in view.to_dict().items() if isinstance(text, str)}
    return WorkerView(**(view.to_dict() | texts))
