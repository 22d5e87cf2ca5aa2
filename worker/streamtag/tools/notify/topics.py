"""What a broker is told of a notice: topics with states that stay, and the discovery of Home Assistant. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import orjson

from streamtag.tools.notify.notice import Notice

MAX_ENTITIES = 5000  # of one sink; beyond them events are told and no states
ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"
_ATTRIBUTES = frozenset({"score", "pts_s", "since_pts_s", "job_id", "region"})
_OVER = ("done", "failed", "cancelled")
_LOST = "unknown"  # the state of a stream whose job is over, where nobody heard how
_NOBODY = ""  # in place of the job that has a label, where no attributes tell it
MAX_JOBS = 100  # of one stream
MAX_JOB_ID = 128


@dataclass(frozen=True, slots=True)
class Message:
    """One message; a retained one is also told to who comes later."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(slots=True)
class _Stream:
    """What is on of a stream, which may be that of several jobs."""

    labels: dict[str, set[str]] = field(default_factory=dict)  # topics of those that are on, to the jobs that have them
    states: dict[str, str] = field(default_factory=dict)  # of each job that runs, the newest last


class Topics:
    """The topics of one queue at one broker.

    Args:
        prefix: of every topic.
        discovery: prefix of Home Assistant's; empty for none.
    """

    def __init__(self, prefix: str, discovery: str, queue: str) -> None:
        self._queue = queue
        self._node = segment(queue)
        self._prefix = prefix.strip("/")
        self._base = f"{self._prefix}/{self._node}"
        self._discovery = discovery.strip("/")
        self._known: set[str] = set()  # entities that the broker was told of
        self._streams: dict[str, _Stream] = {}  # by their segments
        self._said: dict[str, Message] = {}  # what the broker is to retain of states, by topic
        self._configs: dict[str, Message] = {}  # of entities, by the topics of their states

    @property
    def availability(self) -> str:
        """Whether somebody tells events; the broker itself says no when we are gone."""
        return f"{self._base}/status"

    @property
    def streams(self) -> str:
        """Filter of the topics that say what is on."""
        return f"{self._base}/stream/#"

    @property
    def jobs(self) -> set[str]:
        """Those that have a label or a state."""
        held = [jobs for stream in self._streams.values() for jobs in (*stream.labels.values(), stream.states)]
        return set().union(*held) - {_NOBODY}

    def remember(self, retained: Mapping[str, bytes]) -> None:
        """What another runner said, by topic: it goes off with its jobs, too."""
        for topic, payload in retained.items():
            if topic not in self._said:
                self._keep([Message(topic, payload, retain=True)])
            jobs = _jobs(retained.get(f"{topic}/attributes"))
            match topic.removeprefix(f"{self._base}/stream/").split("/"):
                case [stream, "label", _] if payload == ON:
                    labels = self._streams.setdefault(stream, _Stream()).labels
                    labels.setdefault(topic, set()).update(jobs or {_NOBODY})
                case [stream, "state"] if jobs:
                    states = self._streams.setdefault(stream, _Stream()).states
                    for job in jobs - states.keys():
                        states[job] = payload.decode(errors="replace")

    def end(self, over: Set[str]) -> list[Message]:
        """Nothing is on any more for these jobs, whose end was told to nobody."""
        return self._keep([one for stream in list(self._streams) for one in self._without(stream, over, _LOST)])

    def missing(self, retained: Mapping[str, bytes]) -> list[Message]:
        """What a broker lacks that retains only this, as one that kept nothing over a restart."""
        lacking = [one for topic, one in self._said.items() if retained.get(topic) != one.payload]
        return [*(self._configs[one.topic] for one in lacking if one.topic in self._configs), *lacking]

    def _keep(self, messages: list[Message]) -> list[Message]:
        """The same; what the broker is to retain of states is known from now on."""
        for one in messages:
            is_known = one.topic in self._said or len(self._said) < 2 * MAX_ENTITIES  # each has attributes
            if is_known and one.topic.startswith(f"{self._base}/stream/"):
                self._said[one.topic] = one
        return messages

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
        return [*self._keep(self._states(notice.kind, stream, content)), event]

    def _states(self, kind: str, stream: str, content: dict[str, Any]) -> list[Message]:
        label = content.get("label")
        if kind in ("enter", "exit") and isinstance(label, dict):
            name = str(label.get("name"))
            region = str(content.get("region") or "")
            return self._label(stream, f"{region} {name}" if region else name, kind == "enter", content)
        job = str(content.get("job_id") or "")[:MAX_JOB_ID]
        if kind == "state":
            return self._state(stream, job, str(content.get("state")))
        if kind == "status" and (status := str(content.get("status"))) in _OVER:
            found = self._state(stream, job, status)  # it may be all that is ever told of this stream
            return [*found[:-2], *self._without(segment(stream), {job, _NOBODY}, status)]
        return []

    def _without(self, level: str, over: Set[str], state: str) -> list[Message]:
        """A stream, by its segment, without some jobs: what none of the others has goes off."""
        stream = self._streams.get(level, _Stream())
        messages = []
        for topic, jobs in sorted(stream.labels.items()):
            jobs -= over
            if not jobs:
                del stream.labels[topic]
                messages.append(Message(topic, OFF, retain=True))
        if not over.isdisjoint(stream.states):
            stream.states = {job: state for job, state in stream.states.items() if job not in over}
            messages += self._state_of(level, next(reversed(stream.states.values()), state))
        if not stream.labels and not stream.states:
            self._streams.pop(level, None)
        return messages

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
        labels, job = self._streams.setdefault(segment(stream), _Stream()).labels, str(content.get("job_id") or "")
        jobs = labels.pop(topic, set()) - {job[:MAX_JOB_ID], _NOBODY} | ({job[:MAX_JOB_ID]} if on else set())
        if jobs:
            labels[topic] = jobs
        attributes: dict[str, Any] = {name: value for name, value in content.items() if name in _ATTRIBUTES}
        attributes["jobs"] = sorted(jobs)[:MAX_JOBS]
        return [
            *found,
            Message(f"{topic}/attributes", _json(attributes), retain=True),
            Message(topic, ON if jobs else OFF, retain=True),
        ]

    def _state(self, stream: str, job: str, state: str) -> list[Message]:
        topic = f"{self._base}/stream/{segment(stream)}/state"
        about = {"name": "state", "state_topic": topic, "json_attributes_topic": f"{topic}/attributes"}
        found = self._entity("sensor", stream, "state", about)
        if found is None:
            return []
        states = self._streams.setdefault(segment(stream), _Stream()).states
        states.pop(job, None)
        states[job] = state
        if len(states) > MAX_JOBS:
            del states[next(iter(states))]
        return [*found, *self._state_of(segment(stream), state)]

    def _state_of(self, level: str, state: str) -> list[Message]:
        topic, stream = f"{self._base}/stream/{level}/state", self._streams[level]
        attributes = {"jobs": [*stream.states]}
        return [
            Message(f"{topic}/attributes", _json(attributes), retain=True),
            Message(topic, state.encode(), retain=True),
        ]

    def _entity(self, component: str, stream: str, name: str, about: dict[str, Any]) -> list[Message] | None:
        """How Home Assistant hears of a thing, once; None where there are too many."""
        node = f"{segment(self._prefix)}-{self._node}"
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
        config = Message(topic, _json(about | shared), retain=True)
        if len(self._configs) < MAX_ENTITIES:
            self._configs[about["state_topic"]] = config
        return [config]


def _jobs(attributes: bytes | None) -> set[str]:
    """Those that have a label, by its attributes; whoever may write to the broker may have written them."""
    try:
        content = orjson.loads(attributes or b"{}")
    except orjson.JSONDecodeError:
        return set()
    if not isinstance(content, dict):
        return set()
    jobs = content.get("jobs", [content.get("job_id")])  # the one that changed it last, before there were several
    named = [job for job in jobs if isinstance(job, str)] if isinstance(jobs, list) else []
    return {job for job in named[:MAX_JOBS] if 0 < len(job) <= MAX_JOB_ID}


def segment(name: str) -> str:
    """A name as one level of a topic: without what brokers or Home Assistant give a meaning, and still its own."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:48]
    if plain == name and name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _json(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content)
