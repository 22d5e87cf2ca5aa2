"""Where each sink of ``streamtag notify`` stands in the events, and the one runner that may move it on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis.exceptions import ResponseError

from streamtag.core.records import Event
from streamtag.errors import LeaseLost
from streamtag.queue.connection import Connection, stamp, text
from streamtag.queue.published import read_event
from streamtag.redaction import printable

COUNT = 100  # events read at a time
BLOCK_MS = 1000
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Place:
    """How far a sink has got.

    Attributes:
        id: of the last event that it heard, or that was passed over.
        number: of that event among all that were ever added; None where the server does not count them (before 7.0).
    """

    id: str
    number: int | None

    def after(self, event_id: str) -> Place:
        """The place of the event that follows."""
        return Place(event_id, None if self.number is None else self.number + 1)


@dataclass(frozen=True, slots=True)
class Unheard:
    """What a sink has not heard yet.

    Attributes:
        lost: events before these that Redis has trimmed by now; None where some may be, and nobody knows how many.
        is_new: the sink has no place yet; this one is the end of the events.
    """

    place: Place
    events: tuple[Event, ...] = ()
    lost: int | None = 0
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class UndeliveredEvent:
    """An event that a sink did not take, as the dead letters tell it."""

    id: str
    sink: str
    event: Event
    reason: str
    tries: int
    at_unix_s: float


@dataclass(frozen=True, slots=True)
class SinkView:
    """A sink as ``notify --status`` shows it; None of what is not known."""

    sink: str
    behind: int | None = None  # events that it has yet to hear, or to pass over
    heard_unix_s: float | None = None  # when the last event was, that it heard or passed over
    delivered: int = 0
    dead: int = 0
    lost: int = 0
    trouble: str = ""  # why it does not take the event at hand


class Notices:
    """One runner's side, over a connection of its own."""

    def __init__(self, connection: Connection, runner: str) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._runner = runner

    def hold(self, lease_s: float) -> str:
        """Take or keep the lease; with 0 leave it.

        Returns:
            The runner that has it, where that is another one; else nothing.
        """
        answer = self._connection.script("notify_hold", [self._keys.notify_lease], [self._runner, int(lease_s * 1000)])
        return printable(text(answer[1]), 200) if answer[0] == b"HELD" else ""

    def read(self, sink: str) -> Unheard:
        """What the sink has not heard."""
        answer = self._connection.script("notify_read", [self._keys.events, self._keys.notify_sink(sink)], [COUNT])
        if answer[0] == b"NEW":
            return Unheard(Place(text(answer[1]), _count(answer[2])), is_new=True)
        position, place, length, added, last, there, entries = answer[1:]
        events = tuple(read_event(text(entry_id), _fields(fields)) for entry_id, fields in entries)
        stream = _Stream(int(length), _count(added), text(last))
        return _unheard(Place(text(position), _count(place)), stream, bool(there), events)

    def wait(self, place: Place) -> None:
        """Return when there is an event after that place, or soon."""
        keys = self._keys
        with self._connection.asking(f"XREAD {keys.events}", of_queue=True, at_once=False):
            self._connection.client.xread({keys.events: place.id}, count=1, block=BLOCK_MS)

    def advance(self, sink: str, place: Place, delivered: int = 0, lost: int = 0, trouble: str = "") -> None:
        """The sink has got so far.

        Raises:
            LeaseLost: another runner tells events by now.
        """
        self._advance(sink, place, [delivered, lost, printable(trouble, MAX_REASON), stamp()])

    def bury(
        self, sink: str, place: Place, event: Event, reason: str, tries: int, maxlen: int, trouble: str = ""
    ) -> None:
        """The sink did not take the event at that place, which becomes a dead letter.

        Raises:
            LeaseLost: another runner tells events by now.
        """
        reason = printable(reason, MAX_REASON)
        letter = [maxlen, sink, orjson.dumps(event.to_dict()), reason, tries]
        self._advance(sink, place, [0, 0, printable(trouble, MAX_REASON), stamp(), *letter])

    def over(self, job_ids: Iterable[str]) -> set[str]:
        """Those of the jobs that do not run, nor wait: what is left of them expires, if it has not."""
        wanted, client = list(job_ids), self._connection.client
        if not wanted:
            return set()
        with self._connection.asking(f"PTTL {self._keys.job('*')}", of_queue=True):
            pipeline = client.pipeline(transaction=False)
            for job_id in wanted:
                pipeline.pttl(self._keys.job(job_id))
            return {job_id for job_id, left_ms in zip(wanted, pipeline.execute(), strict=True) if left_ms != -1}

    def close(self) -> None:
        """Leave the server."""
        self._connection.close()

    def _advance(self, sink: str, place: Place, arguments: list[Any]) -> None:
        names = [self._keys.notify_lease, self._keys.notify_sink(sink), self._keys.notify_dlq]
        number = "" if place.number is None else place.number
        answer = self._connection.script("notify_advance", names, [self._runner, place.id, number, *arguments])
        if answer[0] == b"LOST":
            raise LeaseLost("another runner tells events by now")


class Feeds:
    """What others see of all this."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    def sinks(self, names: Sequence[str]) -> list[SinkView]:
        """How far each has got."""
        if not names:
            return []
        client, keys = self._connection.client, self._keys
        with self._connection.asking(f"HGETALL {keys.notify_sink('*')}", of_queue=True):
            added = _added(client, keys.events)
            found = [client.hgetall(keys.notify_sink(name)) for name in names]
        return [read_sink(name, fields, added) for name, fields in zip(names, found, strict=True)]

    def runner(self) -> str:
        """The one that has the lease; empty where none has."""
        with self._connection.asking(f"GET {self._keys.notify_lease}", of_queue=True):
            return printable(text(self._connection.client.get(self._keys.notify_lease)), 200)

    def undelivered(self) -> Iterator[UndeliveredEvent]:
        """Dead letters, oldest first."""
        start = "-"
        while True:
            with self._connection.asking(f"XRANGE {self._keys.notify_dlq}", of_queue=True):
                rows = self._connection.client.xrange(self._keys.notify_dlq, start, "+", count=500)
            yield from (read_undelivered(text(entry_id), fields) for entry_id, fields in rows)
            if len(rows) < 500:
                return
            start = f"({text(rows[-1][0])}"

    def forget(self, letter: UndeliveredEvent) -> None:
        """A dead letter is one no more: its sink has it now."""
        with self._connection.asking(f"XDEL {self._keys.notify_dlq}", of_queue=True):
            self._connection.client.xdel(self._keys.notify_dlq, letter.id)


def _added(client: Any, events: str) -> int | None:
    try:
        about: dict[str, Any] = client.xinfo_stream(events)
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None
    added = about.get("entries-added")
    return int(added) if added is not None else None


@dataclass(frozen=True, slots=True)
class _Stream:
    length: int
    added: int | None  # ever
    last_id: str


def _unheard(place: Place, stream: _Stream, there: bool, events: tuple[Event, ...]) -> Unheard:
    """What was trimmed between the sink's place and the first event that is left. Events leave at their head only."""
    number, end = place.number, place.id if events else stream.last_id
    if stream.added is not None and number is not None and number <= stream.added:
        trimmed = stream.added - stream.length
        lost = max(0, trimmed - number)
        return Unheard(Place(end, number + lost), events, lost)
    # Not counted: before 7.0, or after a failover that lost some of them.
    number = stream.added - len(events) if stream.added is not None and len(events) < COUNT else None
    gone = not there and place.id not in ("0-0", stream.last_id)
    return Unheard(Place(end, number), events, None if gone else 0)


def read_sink(name: str, fields: dict[bytes, bytes], added: int | None) -> SinkView:
    """What Redis keeps of a sink; what is not as we write it, is not told."""
    number, position = _count(fields.get(b"place", b"")), text(fields.get(b"position"))
    milliseconds = _count(position.partition("-")[0].encode())
    return SinkView(
        sink=name,
        behind=None if added is None or number is None else max(0, added - number),
        heard_unix_s=milliseconds / 1000 if milliseconds else None,
        delivered=_count(fields.get(b"delivered", b"")) or 0,
        dead=_count(fields.get(b"dead", b"")) or 0,
        lost=_count(fields.get(b"lost", b"")) or 0,
        trouble=printable(text(fields.get(b"trouble")), MAX_REASON),
    )


def read_undelivered(entry_id: str, fields: dict[bytes, bytes]) -> UndeliveredEvent:
    """A dead letter of a sink, whatever is in it."""
    event = read_event(text(fields.get(b"entry")), {b"event": fields.get(b"event", b"")})
    milliseconds = _count(entry_id.partition("-")[0].encode()) or 0
    return UndeliveredEvent(
        id=entry_id,
        sink=printable(text(fields.get(b"sink")), 40),
        event=event,
        reason=printable(text(fields.get(b"reason")), MAX_REASON),
        tries=_count(fields.get(b"tries", b"")) or 0,
        at_unix_s=milliseconds / 1000,
    )


def _count(value: bytes) -> int | None:
    return int(value) if value.isdigit() and len(value) <= 15 else None


def _fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
