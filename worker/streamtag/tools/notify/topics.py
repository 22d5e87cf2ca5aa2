"""What a broker is told of a notice: topics with states that stay, and the discovery of Home Assistant. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from streamtag.tools.notify.notice import Notice

MAX_ENTITIES = 5000  # of one sink; beyond them events are told and no states
ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"
_ATTRIBUTES = frozenset({"score", "pts_s", "since_pts_s", "job_id", "region"})
_OVER = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; a retained one is also told to who comes later."""

    topic: str
    payload: bytes
    retain: bool = False


class Topics:
    """The topics of one queue at one broker.

    Args:
        prefix: of every topic.
        discovery: prefix of Home Assistant's; empty for none.
    """

    def __init__(self, prefix: str, discovery: str, queue: str) -> None:
        self._queue = queue
        self._node = segment(queue)
        self._base = f"{prefix.strip('/')}/{self._node}"
        self._discovery = discovery.strip("/")
        self._known: set[str] = set()  # entities that the broker was told of
        self._on: dict[str, set[str]] = {}  # segment of a stream to the topics of its labels that are on

    @property
    def availability(self) -> str:
        """Whether somebody tells events; the broker itself says no when we are gone."""
        return f"{self._base}/status"

    @property
    def labels(self) -> str:
        """Filter of the topics that say whether a label is on."""
        return f"{self._base}/stream/+/label/+"

    def remember(self, on: Iterable[str]) -> None:
        """Labels that another runner said are on, by their topics: they go off with their job, too."""
        for topic in on:
            stream = topic.removeprefix(f"{self._base}/stream/").partition("/")[0]
            self._on.setdefault(stream, set()).add(topic)

    def forget(self) -> None:
        """The broker may have forgotten what it retained: tell it of each entity anew."""
        self._known.clear()

    def messages(self, notice: Notice) -> list[Message]:
        """In the order in which they are to be sent: what a thing is before how it is."""
        content = notice.content
        stream = str(content.get("stream") or content.get("job_id") or "")
        event = Message(
            f"{self._base}/event/{segment(stream)}" if stream else f"{self._base}/{segment(notice.kind)}",
            _json(content),
        )
        return [*self._states(notice.kind, stream, content), event]

    def _states(self, kind: str, stream: str, content: dict[str, Any]) -> list[Message]:
        label = content.get("label")
        if kind in ("enter", "exit") and isinstance(label, dict):
            name = str(label.get("name"))
            region = str(content.get("region") or "")
            return self._label(stream, f"{region} {name}" if region else name, kind == "enter", content)
        if kind == "state":
            return self._stream(stream, str(content.get("state")))
        if kind == "status":
            over = str(content.get("status")) in _OVER
            off = (
                [Message(topic, OFF, retain=True) for topic in sorted(self._on.pop(segment(stream), ()))]
                if over
                else []
            )
            return [*off, *self._stream(stream, str(content.get("status")))]
        return []

    def _label(self, stream: str, name: str, on: bool, content: dict[str, Any]) -> list[Message]:
        topic = f"{self._base}/stream/{segment(stream)}/label/{segment(name)}"
        about = {
            "name": name,
            "state_topic": topic,
            "payload_on": ON.decode(),
            "payload_off": OFF.decode(),
            "json_attributes_topic": f"{topic}/attributes",
        }
        found = self._entity("binary_sensor", stream, name, about)
        if found is None:
            return []
        topics = self._on.setdefault(segment(stream), set())
        topics.add(topic) if on else topics.discard(topic)
        attributes = {name: value for name, value in content.items() if name in _ATTRIBUTES}
        return [
            *found,
            Message(f"{topic}/attributes", _json(attributes), retain=True),
            Message(topic, ON if on else OFF, retain=True),
        ]

    def _stream(self, stream: str, state: str) -> list[Message]:
        topic = f"{self._base}/stream/{segment(stream)}/state"
        found = self._entity("sensor", stream, "state", {"name": "state", "state_topic": topic})
        return [] if found is None else [*found, Message(topic, state.encode(), retain=True)]

    def _entity(self, component: str, stream: str, name: str, about: dict[str, Any]) -> list[Message] | None:
        """How Home Assistant hears of a thing, once; None where there are too many."""
        node = f"streamtag-{self._node}"
        thing = f"{segment(stream)}-{segment(name)}"
        topic = f"{self._discovery}/{component}/{node}/{thing}/config"
        if topic in self._known:
            return []
        if len(self._known) >= MAX_ENTITIES:
            return None
        self._known.add(topic)
        if not self._discovery:
            return []
        device = {
            "identifiers": [f"{node}-{segment(stream)}"],
            "name": stream,
            "manufacturer": "Streamtag",
            "model": self._queue,
        }
        shared = {
            "unique_id": f"{node}-{component}-{thing}",
            "availability_topic": self.availability,
            "payload_available": ONLINE.decode(),
            "payload_not_available": OFFLINE.decode(),
            "device": device,
        }
        return [Message(topic, _json(about | shared), retain=True)]


def segment(name: str) -> str:
    """A name as one level of a topic: without what brokers or Home Assistant give a meaning, and still its own."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:48]
    if plain == name and name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _json(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content)
