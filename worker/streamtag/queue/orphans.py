"""What no job owns, and what no worker will ever run: left behind where keys were deleted by hand, evicted or flushed.

Redis is looked through in batches. What is found is looked at once more by the script that removes it, in one step with
the removal, so nothing goes that a job owns by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from streamtag.core.records import JobStatus
from streamtag.queue.connection import SCAN_COUNT, Connection, stamp, text
from streamtag.queue.failures import GroupMissing
from streamtag.queue.job_hash import shown_names
from streamtag.queue.keys import GROUP
from streamtag.queue.published import status_event
from streamtag.redaction import printable

NO_ENTRY = "its entry in the queue was deleted, so no worker could take it"

_FOREIGN = re.compile("WRONGTYPE|Invalid stream ID")


class OrphanKind(StrEnum):
    """What was left behind."""

    RESULTS = "results"  # of a job that is gone
    THUMB = "thumbnail"  # its newest picture
    PICTURES = "pictures"  # the others of it
    JOB = "job"  # waits or runs by its hash, and has no entry in the queue
    PENDING = "pending"  # an entry that was delivered and then deleted
    CONSUMER = "consumer"  # the name of a worker that is gone
    LETTER = "letter"  # a dead letter whose job is gone: it cannot be queued again


@dataclass(frozen=True, slots=True)
class Orphan:
    """One thing that nothing will ever use."""

    kind: OrphanKind
    name: str  # of the job, the worker, the entry or the letter
    why: str
    bytes: int = 0  # that its key takes; 0 where it is a part of another's
    about: str = ""  # the job of a letter, the owner of a job

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "about"}


class Orphans:
    """Finds and removes them in one queue."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._keys = connection.keys
        self._parts = {
            OrphanKind.RESULTS: self._keys.results,
            OrphanKind.THUMB: self._keys.thumb,
            OrphanKind.PICTURES: self._keys.pictures,
        }

    def find(self) -> Iterator[Orphan]:
        """All there are, as they are found; may be removed meanwhile."""
        for kind, key_of in self._parts.items():
            yield from self._parts_of_none(kind, key_of(""))
        yield from self._jobs()
        yield from self._letters()
        yield from self._pending()
        yield from self._consumers()

    def remove(self, orphan: Orphan) -> bool:
        """Remove one; a job ends as a dead letter. False where it has an owner by now.

        Raises:
            QueueRefused: what is stored of a job is not what we write.
            QueueUnavailable: Redis gives no answer.
        """
        if orphan.kind is OrphanKind.JOB:
            return self._give_up(orphan)
        if orphan.kind is OrphanKind.CONSUMER:
            names = [self._keys.jobs, self._keys.worker(orphan.name)]
            return len(self._connection.script("retire", names, [GROUP, orphan.name])) > 1
        job_id = orphan.about or orphan.name
        key = self._parts.get(orphan.kind, self._keys.results)(job_id)
        names = [self._keys.jobs, self._keys.job(job_id), key, self._keys.dlq]
        answer = self._connection.script("collect", names, [orphan.kind, GROUP, orphan.name])
        return bool(answer[0] == b"OK")

    def _give_up(self, orphan: Orphan) -> bool:
        keys, job_id, settings = self._keys, orphan.name, self._connection.settings
        names = [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events, keys.dlq, keys.worker(orphan.about)]
        (shown,) = self._each([keys.job(job_id)], lambda pipeline, name: pipeline.hget(name, "shown"))
        shown = shown if isinstance(shown, bytes) else None  # what is wrong with the key, the script says
        names_shown = shown_names(job_id, shown)
        event = status_event(names_shown.named, names_shown.stream, JobStatus.FAILED, NO_ENTRY, 0.0)
        limits = [settings.expire_s, settings.events_maxlen, settings.dlq_maxlen]
        arguments = [orphan.about, NO_ENTRY, stamp(), *limits, job_id, event, names_shown.source]
        return bool(self._connection.script("give_up", names, arguments)[0] == b"OK")

    def _parts_of_none(self, kind: OrphanKind, prefix: str) -> Iterator[Orphan]:
        for names in self._connection.scan(prefix):
            absent = self._absent(self._keys.job(name.removeprefix(prefix)) for name in names)
            gone = [name for name in names if self._keys.job(name.removeprefix(prefix)) in absent]
            for name, size in self._sizes(gone):
                yield Orphan(kind, name.removeprefix(prefix), f"{kind} of a job that is gone", size)

    def _jobs(self) -> Iterator[Orphan]:
        prefix = self._keys.job("")
        for names in self._connection.scan(prefix):
            rows = self._each(names, lambda pipeline, name: pipeline.hmget(name, "status", "entry", "owner"))
            open_ = {
                name: (status, text(entry), text(owner))
                for name, row in zip(names, rows, strict=True)
                if isinstance(row, list)  # else another's key: the job is listed as unreadable
                for status, entry, owner in [row]
                if status in (b"queued", b"running")
            }
            deleted = self._deleted(entry for _, entry, _ in open_.values())
            silent = self._absent(self._keys.worker(owner) for _, _, owner in open_.values())
            lost = [
                name
                for name, (status, entry, owner) in open_.items()
                if entry in deleted and (status == b"queued" or self._keys.worker(owner) in silent)
            ]
            for name, size in self._sizes(lost):
                status, _, owner = open_[name]
                why = f"{text(status)}, but {NO_ENTRY}: ends as a dead letter"
                yield Orphan(OrphanKind.JOB, name.removeprefix(prefix), why, size, owner)

    def _letters(self) -> Iterator[Orphan]:
        dlq = self._keys.dlq
        for rows in self._pages(f"XRANGE {dlq}", lambda start: self._client.xrange(dlq, start, "+", SCAN_COUNT)):
            jobs = {text(letter): text(fields.get(b"job_id")) for letter, fields in rows}
            absent = self._absent(self._keys.job(job_id) for job_id in jobs.values())
            for letter, job_id in jobs.items():
                if self._keys.job(job_id) in absent:
                    why = f"dead letter of {printable(job_id, 200)}, which is gone: it cannot be queued again"
                    yield Orphan(OrphanKind.LETTER, letter, why, about=job_id)

    def _pending(self) -> Iterator[Orphan]:
        def page(start: str) -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = self._client.xpending_range(self._keys.jobs, GROUP, start, "+", SCAN_COUNT)
            return rows

        with suppress(GroupMissing):
            for rows in self._pages(f"XPENDING {self._keys.jobs}", page, lambda row: row["message_id"]):
                owners = {text(row["message_id"]): text(row["consumer"]) for row in rows}
                silent = self._absent(map(self._keys.worker, owners.values()))
                for entry in sorted(self._deleted(owners)):
                    if self._keys.worker(owners[entry]) in silent:
                        why = f"delivered to {printable(owners[entry], 200)}, then deleted"
                        yield Orphan(OrphanKind.PENDING, entry, why)

    def _consumers(self) -> Iterator[Orphan]:
        with suppress(GroupMissing), self._connection.asking(f"XINFO CONSUMERS {self._keys.jobs}", of_queue=True):
            if not self._client.exists(self._keys.jobs):
                return
            rows = self._client.xinfo_consumers(self._keys.jobs, GROUP)
            idle = [text(row["name"]) for row in rows if not row["pending"]]
            silent = self._absent(map(self._keys.worker, idle))
            for name in idle:
                if self._keys.worker(name) in silent:
                    yield Orphan(OrphanKind.CONSUMER, name, "a worker that is gone, in the group")

    # How Redis is asked.

    def _absent(self, names: Iterable[str]) -> set[str]:
        """Those of the keys that there are not."""
        wanted = list(dict.fromkeys(names))
        found = self._each(wanted, lambda pipeline, name: pipeline.exists(name))
        return {name for name, exists in zip(wanted, found, strict=True) if not exists}

    def _deleted(self, entries: Iterable[str]) -> set[str]:
        """Those of the entries that are not in the queue."""
        wanted = list(dict.fromkeys(entries))
        found = self._each(wanted, lambda pipeline, entry: pipeline.xrange(self._keys.jobs, entry or "-", entry or "-"))
        return {entry for entry, there in zip(wanted, found, strict=True) if not there}

    def _sizes(self, names: Sequence[str]) -> Iterable[tuple[str, int]]:
        """The keys with what each takes."""
        sizes = self._each(names, lambda pipeline, name: pipeline.memory_usage(name))
        return [(name, int(size or 0)) for name, size in zip(names, sizes, strict=True)]

    def _each(self, items: Sequence[str], ask: Callable[[Any, str], object]) -> list[Any]:
        """One command for each, sent together. Where a key or an id is not of our kind, the error is the answer."""
        with self._connection.asking(f"a look at {self._keys.base}:*", of_queue=True):
            pipeline = self._client.pipeline(transaction=False)
            for item in items:
                ask(pipeline, item)
            answers: list[Any] = pipeline.execute(raise_on_error=False) if items else []
            for answer in answers:
                if isinstance(answer, Exception) and not _FOREIGN.search(str(answer)):
                    raise answer
        return answers

    def _pages(
        self, command: str, page: Callable[[str], list[Any]], id_of: Callable[[Any], Any] = lambda row: row[0]
    ) -> Iterator[list[Any]]:
        """The rows of a stream or of what is pending, some at a time."""
        start = "-"
        while True:
            with self._connection.asking(command, of_queue=True):
                rows = page(start)
            if rows:
                yield rows
            if len(rows) < SCAN_COUNT:
                return
            start = f"({text(id_of(rows[-1]))}"
