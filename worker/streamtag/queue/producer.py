"""The other side of the protocol: those who submit jobs and read what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from streamtag.core.job import Job
from streamtag.core.records import Counters, Event, JobStatus, JobView, Label, Result
from streamtag.errors import JobNotFound, QueueFull, StreamtagError
from streamtag.queue.connection import Connection, stamp, text
from streamtag.queue.keys import GROUP
from streamtag.redaction import redact


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was put aside."""

    id: str
    job_id: str
    reason: str
    deliveries: int
    source: str  # redacted
    at_unix_s: float


class Producer:
    """The producer's side: submit, watch, cancel, read results."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def submit(self, job: Job) -> JobStatus:
        """Put a job into the queue. The same id twice is one job: the second call tells its status.

        Raises:
            QueueFull: above ``redis.queue_cap``.
            QueueUnavailable: Redis cannot be reached.
        """
        cap = self._connection.settings.queue_cap
        names = [self._keys.jobs, self._keys.job(job.job_id)]
        answer = self._connection.script("submit", names, [job.to_json(), cap, stamp(), GROUP])
        if answer[0] == b"FULL":
            raise QueueFull(
                f"the queue holds {cap} jobs already (redis.queue_cap); wait, add workers, or raise the cap"
            )
        return JobStatus(text(answer[1]))

    def cancel(self, job_id: str) -> str:
        """Cancel a job: waiting ones end at once, running ones within a renewal.

        Returns:
            ``cancelled``, or ``cancelling`` while its worker has not heard yet, or the status of a job that is over.

        Raises:
            JobNotFound: there is no such job.
        """
        event = {
            "job_id": job_id,
            "kind": "status",
            "pts_s": 0.0,
            "status": "cancelled",
            "reason": "cancelled before it ran",
        }
        settings, keys = self._connection.settings, self._keys
        answer = self._connection.script(
            "cancel",
            [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events],
            [GROUP, stamp(), settings.expire_s, orjson.dumps(event), settings.events_maxlen],
        )
        if answer[0] == b"UNKNOWN":
            raise no_such_job(job_id, self._keys.model)
        return "cancelling" if answer[1] == b"running" else text(answer[1])

    def view(self, job_id: str) -> JobView:
        """
        Raises:
            JobNotFound: there is no such job.
        """
        with self._connection.asking():
            fields = self._connection.client.hgetall(self._keys.job(job_id))
        if not fields:
            raise no_such_job(job_id, self._keys.model)
        return _view(job_id, fields)

    def views(self) -> list[JobView]:
        """Every job that Redis still knows, oldest first."""
        client, prefix = self._connection.client, self._keys.job("")
        with self._connection.asking():
            names = [text(name) for name in client.scan_iter(match=f"{_literal(prefix)}*", count=1000)]
            pipeline = client.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(name)
            answers = pipeline.execute() if names else []
        found = [
            _view(name.removeprefix(prefix), fields) for name, fields in zip(names, answers, strict=True) if fields
        ]
        return sorted(found, key=lambda view: (view.submitted_unix_s, view.job_id))

    def results(self, job_id: str, after: str = "0-0", count: int = 1000, block_ms: int | None = None) -> list[Result]:
        """Results after an id, oldest first; with ``block_ms`` wait that long for the first."""
        entries = self._read(self._keys.results(job_id), after, count, block_ms)
        return [_result(entry_id, orjson.loads(fields[b"result"])) for entry_id, fields in entries]

    def newest_results(self, job_id: str, count: int) -> list[Result]:
        with self._connection.asking():
            rows = self._connection.client.xrevrange(self._keys.results(job_id), count=count)
        return [_result(text(entry_id), orjson.loads(fields[b"result"])) for entry_id, fields in reversed(rows)]

    def events(self, after: str = "0-0", count: int = 1000, block_ms: int | None = None) -> list[Event]:
        """Events of all jobs of the queue after an id, oldest first."""
        entries = self._read(self._keys.events, after, count, block_ms)
        return [_event(entry_id, orjson.loads(fields[b"event"])) for entry_id, fields in entries]

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Dead letters, oldest first."""
        start = "-"
        while True:
            with self._connection.asking():
                rows = self._connection.client.xrange(self._keys.dlq, start, "+", count=500)
            for entry_id, fields in rows:
                yield _dead_letter(text(entry_id), fields)
            if len(rows) < 500:
                return
            start = f"({text(rows[-1][0])}"

    def requeue(self, letter: DeadLetter) -> None:
        """Make a dead letter a job again; it goes on from its checkpoint.

        Raises:
            StreamtagError: the letter or its job is gone, or was never a job.
        """
        keys = self._keys
        names = [keys.dlq, keys.jobs, keys.job(letter.job_id), keys.results(letter.job_id)]
        answer = self._connection.script("requeue", names, [letter.id, stamp()])
        if answer[0] == b"UNKNOWN":
            raise StreamtagError(f"no dead letter {letter.id}")
        if answer[0] == b"GONE":
            raise StreamtagError(
                f"{letter.job_id}: its job is no longer stored or never was one; submit the source again"
            )

    def drop(self, letter: DeadLetter) -> None:
        with self._connection.asking():
            self._connection.client.xdel(self._keys.dlq, letter.id)

    def workers(self, within_s: float) -> int:
        """Workers that asked the queue for something within that time."""
        with self._connection.asking():
            if not self._connection.client.exists(self._keys.jobs):
                return 0
            groups = self._connection.client.xinfo_groups(self._keys.jobs)
            if not groups:
                return 0
            consumers = self._connection.client.xinfo_consumers(self._keys.jobs, GROUP)
        return sum(1 for consumer in consumers if consumer["idle"] < within_s * 1000)

    def _read(self, name: str, after: str, count: int, block_ms: int | None) -> list[tuple[str, dict[bytes, bytes]]]:
        with self._connection.asking():
            answer = self._connection.client.xread({name: after}, count=count, block=block_ms)
        return [(text(entry_id), fields) for _, rows in answer or [] for entry_id, fields in rows]


def no_such_job(job_id: str, model: str) -> JobNotFound:
    """The error for an id that the queue does not know."""
    return JobNotFound(
        f"no job {job_id!r} in the queue of model {model!r}; `streamtag status` lists them, --model chooses the queue"
    )


def _view(job_id: str, fields: dict[bytes, bytes]) -> JobView:
    def number(name: bytes) -> float:
        return float(fields.get(name) or 0)

    raw: dict[str, Any] = orjson.loads(fields[b"job"]) if b"job" in fields else {}
    counters = orjson.loads(fields[b"counters"]) if fields.get(b"counters") else {}
    status = JobStatus(text(fields.get(b"status")) or "queued")
    return JobView(
        job_id=job_id,
        status=status,
        source=redact(str(raw.get("source", ""))),
        stream=str(raw.get("stream") or job_id),
        state=text(fields.get(b"state")),
        reason=text(fields.get(b"reason")),
        counters=Counters.from_dict(counters),
        progress=float(fields[b"progress"]) if fields.get(b"progress") else None,
        worker=text(fields.get(b"owner")),
        attempts=int(number(b"deliveries")),
        submitted_unix_s=number(b"submitted"),
        started_unix_s=number(b"started"),
        updated_unix_s=number(b"updated"),
        finished_unix_s=number(b"finished"),
        last_sample_unix_s=number(b"last_captured"),
        active=tuple(orjson.loads(fields[b"active"])) if status is JobStatus.RUNNING and fields.get(b"active") else (),
    )


def _result(entry_id: str, content: dict[str, Any]) -> Result:
    labels = tuple(Label(**label) for label in content["labels"])
    return Result(
        entry_id,
        content["index"],
        content["pts_s"],
        labels,
        tuple(content["active"]),
        content.get("change", 0.0),
        content.get("path", ""),
    )


def _event(entry_id: str, content: dict[str, Any]) -> Event:
    head = {name: content.pop(name) for name in ("job_id", "kind", "pts_s")}
    return Event(entry_id, content=content, **head)


def _dead_letter(entry_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    return DeadLetter(
        id=entry_id,
        job_id=text(fields.get(b"job_id")),
        reason=text(fields.get(b"reason")),
        deliveries=int(fields.get(b"deliveries") or 0),
        source=text(fields.get(b"source")),
        at_unix_s=float(fields.get(b"at") or 0),
    )


def _literal(name: str) -> str:
    """The name with the signs of a glob pattern taken literally."""
    return "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in name)
