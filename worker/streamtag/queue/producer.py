"""The other side of the protocol: those who submit jobs and read what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import orjson

from streamtag.core.job import Job
from streamtag.core.records import Event, JobStatus, JobView, Result, WorkerView
from streamtag.errors import (
    JobConflict,
    JobNotFound,
    QueueFull,
    QueueRefused,
    QueueUnavailable,
    StreamtagError,
    did_you_mean,
)
from streamtag.queue.connection import Connection, stamp, text
from streamtag.queue.depth import QueueDepth, read_depth
from streamtag.queue.heartbeats import read_heartbeat
from streamtag.queue.job_hash import (
    ShownNames,
    Unreadable,
    is_same_job,
    read_view,
    shown_json,
    shown_names,
    unreadable_view,
)
from streamtag.queue.keys import GROUP
from streamtag.queue.memory import REMEDY, Holding, MemoryGauge, RedisMemory, read_holdings, read_memory
from streamtag.queue.published import DeadLetter, read_dead_letter, read_event, read_result, status_event
from streamtag.redaction import redact

CANCELLED = "cancelled before it ran"
LATELY = 500  # events, in which a mistyped job is looked for
MEMORY_S = 1.0  # between looks at Redis's memory while jobs are submitted


class Producer:
    """The producer's side: submit, watch, cancel, read results."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._gauge = MemoryGauge(connection, MEMORY_S)

    def submit(self, job: Job) -> JobStatus:
        """Put a job into the queue. The same job twice is one job: the second call tells its status.

        Raises:
            JobConflict: the id is that of another job.
            QueueFull: above ``redis.queue_cap``, or Redis's memory is above ``redis.memory_share``.
            QueueUnavailable: Redis cannot be reached, or has no room.
        """
        memory = self._gauge.read()
        short = memory.is_above(self._connection.settings.memory_share)
        # Short of memory nothing is let in; what is in already is told so nevertheless.
        cap = 0 if short else self._connection.settings.queue_cap
        names = [self._keys.jobs, self._keys.job(job.job_id)]
        arguments = [cap, stamp(), job.to_json(), shown_json(job), int(job.holds_secret)]
        answer = self._connection.script("submit", names, arguments)
        if answer[0] == b"FULL" and short:
            raise self._no_memory(memory)
        if answer[0] == b"FULL":
            raise QueueFull(
                f"the queue holds {cap} jobs already (redis.queue_cap); wait, add workers, or raise the cap"
            )
        if answer[0] == b"EXISTS" and not is_same_job(job, plain=answer[2], shown=answer[3]):
            raise JobConflict(
                f"job id {job.job_id!r} is taken by a job of another source, stream name or sampling, which is "
                f"{text(answer[1])}; choose another id"
            )
        return JobStatus(text(answer[1]))

    def cancel(self, job_id: str) -> str:
        """Cancel a job: waiting ones end at once, running ones within a renewal.

        Returns:
            ``cancelled``, or ``cancelling`` while its worker has not heard yet, or the status of a job that is over.

        Raises:
            JobNotFound: there is no such job.
        """
        names = self._names_of(job_id)
        event = status_event(names.named, names.stream, JobStatus.CANCELLED, CANCELLED, 0.0)
        settings, keys = self._connection.settings, self._keys
        answer = self._connection.script(
            "cancel",
            [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events],
            [GROUP, stamp(), settings.expire_s, event, settings.events_maxlen, CANCELLED],
        )
        if answer[0] == b"UNKNOWN":
            raise self._unknown(job_id)
        return "cancelling" if answer[1] == b"running" else text(answer[1])

    def view(self, job_id: str) -> JobView:
        """
        Raises:
            JobNotFound: there is no such job.
            QueueRefused: what is stored of it is not what we write.
        """
        with self._connection.asking(f"HGETALL {self._keys.job(job_id)}"):
            fields = self._connection.client.hgetall(self._keys.job(job_id))
        if not fields:
            raise self._unknown(job_id)
        try:
            return read_view(job_id, fields)
        except Unreadable as error:
            raise QueueRefused(f"what is stored of job {job_id} cannot be read: {error}") from None

    def views(self) -> list[JobView]:
        """Every job that Redis still knows, oldest first; a broken one says what is wrong with it."""
        prefix, found = self._keys.job(""), []
        for names in self._connection.scan(prefix):
            with self._connection.asking(f"HGETALL {prefix}*"):
                pipeline = self._connection.client.pipeline(transaction=False)
                for name in names:
                    pipeline.hgetall(name)
                answers = pipeline.execute(raise_on_error=False)
                for answer in answers:
                    if isinstance(answer, Exception) and "WRONGTYPE" not in str(answer):
                        raise answer  # it is about us or the server, and no job is broken for it
            found += [_listed(name.removeprefix(prefix), answer) for name, answer in zip(names, answers, strict=True)]
        return sorted((view for view in found if view), key=lambda view: (view.submitted_unix_s, view.job_id))

    def results(self, job_id: str, after: str = "0-0", count: int = 1000, block_ms: int | None = None) -> list[Result]:
        """Results after an id, oldest first; with ``block_ms`` wait that long for the first."""
        entries = self._read(self._keys.results(job_id), after, count, block_ms)
        return [read_result(entry_id, fields) for entry_id, fields in entries]

    def newest_results(self, job_id: str, count: int) -> list[Result]:
        """The last ``count`` results, oldest of them first."""
        name = self._keys.results(job_id)
        with self._connection.asking(f"XREVRANGE {name}"):
            rows = self._connection.client.xrevrange(name, count=count)
        return [read_result(text(entry_id), fields) for entry_id, fields in reversed(rows)]

    def events(self, after: str = "0-0", count: int = 1000, block_ms: int | None = None) -> list[Event]:
        """Events of all jobs of the queue after an id, oldest first."""
        entries = self._read(self._keys.events, after, count, block_ms)
        return [read_event(entry_id, fields) for entry_id, fields in entries]

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Dead letters, oldest first."""
        start = "-"
        while True:
            with self._connection.asking(f"XRANGE {self._keys.dlq}"):
                rows = self._connection.client.xrange(self._keys.dlq, start, "+", count=500)
            for entry_id, fields in rows:
                yield read_dead_letter(text(entry_id), fields)
            if len(rows) < 500:
                return
            start = f"({text(rows[-1][0])}"

    def requeue(self, letter: DeadLetter, source: str = "") -> None:
        """Make a dead letter a job again; it goes on from its checkpoint.

        Args:
            source: of the job, where it held a credential and was therefore forgotten when it failed.

        Raises:
            StreamtagError: the letter or its job is gone, was never a job, or needs its source again.
            QueueFull: Redis's memory is above ``redis.memory_share``.
        """
        if (memory := self._gauge.read()).is_above(self._connection.settings.memory_share):
            raise self._no_memory(memory)
        keys = self._keys
        names = [keys.dlq, keys.jobs, keys.job(letter.job_id), keys.results(letter.job_id)]
        job = self._with_source(letter.job_id, source) if source else None
        given = (job.to_json(), int(job.holds_secret)) if job else ("", 0)
        answer = self._connection.script("requeue", names, [letter.id, stamp(), *given])
        if answer[0] == b"UNKNOWN":
            raise StreamtagError(f"no dead letter {letter.id}")
        if answer[0] == b"GONE":
            raise StreamtagError(
                f"{letter.job_id}: its job is no longer stored or never was one; submit the source again"
            )
        if answer[0] == b"OTHER":
            raise StreamtagError(f"{letter.job_id}: a job of that id is {text(answer[1])} by now; drop the letter")
        if answer[0] == b"SECRET":
            raise StreamtagError(
                f"{letter.job_id}: its source may hold a password and was forgotten when it failed; give it again "
                "with --source, or submit it anew"
            )

    def job(self, job_id: str) -> Job:
        """A job as people may see it: with its source redacted.

        Raises:
            JobNotFound: no such job.
            StreamtagError: what is stored of it is not what we write.
        """
        shown = self._shown(job_id)
        if shown is None:
            raise self._unknown(job_id)
        try:
            return Job.from_json(shown)
        except ValueError as error:
            raise StreamtagError(f"{job_id}: what is stored of it cannot be read: {error}") from None

    def memory(self) -> RedisMemory:
        """What Redis uses of what it may use."""
        return read_memory(self._connection)

    def depth(self) -> QueueDepth:
        """How much waits in this queue."""
        return read_depth(self._connection)

    def holdings(self) -> list[Holding]:
        """What this queue takes of it, by kind: a look at every key."""
        return read_holdings(self._connection)

    def _no_memory(self, memory: RedisMemory) -> QueueFull:
        share = self._connection.settings.memory_share
        return QueueFull(f"{memory}; above {share:.0%} (redis.memory_share) it takes no new jobs: {REMEDY}")

    def _names_of(self, job_id: str) -> ShownNames:
        try:
            return shown_names(job_id, self._shown(job_id))
        except QueueRefused:
            return shown_names(job_id, None)  # what is wrong with its hash, the script says

    def _shown(self, job_id: str) -> bytes | None:
        with self._connection.asking(f"HGET {self._keys.job(job_id)}"):
            shown: bytes | None = self._connection.client.hget(self._keys.job(job_id), "shown")
        return shown

    def _with_source(self, job_id: str, source: str) -> Job:
        """The job of a dead letter with its plain source."""
        shown = self._shown(job_id)
        if shown is None:
            raise self._unknown(job_id)
        try:
            job = Job.from_json(orjson.dumps(orjson.loads(shown) | {"source": source}))
        except (ValueError, TypeError) as error:
            raise StreamtagError(f"{job_id}: {error}") from None
        if not is_same_job(job, plain=b"", shown=shown):
            raise JobConflict(f"{job_id}: that is not the source it had; `streamtag dlq list` shows the like of it")
        return job

    def drop(self, letter: DeadLetter) -> None:
        """Remove a dead letter for good."""
        with self._connection.asking(f"XDEL {self._keys.dlq}"):
            self._connection.client.xdel(self._keys.dlq, letter.id)

    def workers(self) -> list[WorkerView]:
        """The workers that serve the queue now, by name."""
        found = []
        for names in self._connection.scan(self._keys.worker("")):
            with self._connection.asking(f"MGET {names[0]}"):
                found += self._connection.client.mget(names)
        views = [read_heartbeat(value) for value in found if value is not None]
        return sorted((view for view in views if view), key=lambda view: view.worker)

    def _unknown(self, job_id: str) -> JobNotFound:
        """The error for an id that the queue does not know, with what may be meant, of what was told of lately."""
        events: list[Event] = []
        with suppress(QueueUnavailable, QueueRefused), self._connection.asking(f"XREVRANGE {self._keys.events}"):
            rows = self._connection.client.xrevrange(self._keys.events, count=LATELY)
            events = [read_event(text(entry_id), fields) for entry_id, fields in rows]
        of_stream = dict.fromkeys(event.job_id for event in events if event.content.get("stream") == job_id)
        hint = f"; the stream of that name is of {', '.join([*of_stream][:3])}" if of_stream else ""
        hint = hint or did_you_mean(job_id, {event.job_id for event in events} - {job_id})
        remedy = hint or "; `streamtag status` lists them, --model chooses the queue"
        return JobNotFound(f"no job {job_id!r} in the queue of model {self._keys.model!r}{remedy}")

    def _read(self, name: str, after: str, count: int, block_ms: int | None) -> list[tuple[str, dict[bytes, bytes]]]:
        with self._connection.asking(f"XREAD {name}"):
            answer = self._connection.client.xread({name: after}, count=count, block=block_ms)
        return [(text(entry_id), fields) for _, rows in answer or [] for entry_id, fields in rows]


def _listed(job_id: str, answer: dict[bytes, bytes] | Exception) -> JobView | None:
    """None for a job that has expired meanwhile."""
    if isinstance(answer, Exception):
        return unreadable_view(job_id, f"its key is not what Streamtag writes: {redact(str(answer))}")
    try:
        return read_view(job_id, answer) if answer else None
    except Unreadable as error:
        return unreadable_view(job_id, str(error))
