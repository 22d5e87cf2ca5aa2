"""What a sink is told, whether it wants to hear it, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from streamtag.core.records import Event
from streamtag.notify_settings import Sink as SinkSettings

LOST = "lost"  # the kind of a notice that no worker writes: events that Redis had trimmed before they were told


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell.

    Attributes:
        id: the same whenever it is told again.
        content: as JSON, with its ``kind``.
    """

    id: str
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return str(self.content["kind"])


class Channel(Protocol):
    """The way to a sink."""

    def open(self) -> None:
        """Get ready; the sink itself may be away."""

    def send(self, notice: Notice) -> None:
        """Return once the sink has it.

        Raises:
            Unreachable: it may take it another time.
            Unacceptable: it will not take this one.
        """

    def idle(self) -> None:
        """There is nothing to tell."""

    def close(self) -> None:
        """Leave in good order."""


class Unreachable(Exception):
    """The sink did not say that it has a notice: away, slow, or in trouble.

    Attributes:
        wait_s: how long it asks to be left alone.
    """

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class Unacceptable(Exception):
    """The sink understood, and does not take this notice, however often it is told."""


def notice_of(event: Event, queue: str) -> Notice:
    """An event as it is told."""
    # Last, since whoever may write events may write these into one, too.
    return Notice(event.id, event.to_dict() | {"queue": queue, "id": event.id})


def notice_of_loss(count: int | None, after_id: str, queue: str) -> Notice:
    """That events are missing: how many, where that is known."""
    return Notice(f"lost-{after_id}", {"queue": queue, "kind": LOST, "count": count, "after": after_id})


def wants(sink: SinkSettings, event: Event) -> bool:
    """Whether a sink is to hear of an event. What no worker writes, nobody is."""
    if event.kind == "unreadable" or (sink.kinds and event.kind not in sink.kinds):
        return False
    label = event.content.get("label")
    if sink.labels and not (isinstance(label, dict) and _fits(str(label.get("name")), sink.labels)):
        return False
    return not sink.streams or _fits(str(event.content.get("stream", event.job_id)), sink.streams)


def _fits(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
