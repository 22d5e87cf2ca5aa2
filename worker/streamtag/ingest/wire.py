"""What a decoder process says to its parent, over a stream socket.

A message is its length and its content, of which the first byte tells the kind. Samples, the only frequent message, are
a fixed struct; the rest is JSON. One read of the parent may bring many messages: each system call gives up the
interpreter's lock, and getting it back cost more than all that is done with a sample. The parent answers through shared
memory (``slots.py``).

The other end reads a stranger's bytes and may be in a stranger's hands: here, and only here, every field is checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from streamtag.core.failure import FailureCause, FailureKind
from streamtag.core.records import DropReason, FailReason, Sample

READ_BYTES = 65_536
MESSAGE_BYTES = 65_536  # the longest message
TEXT_LIMIT = 2000  # characters of a reason
PATH_BYTES = 8192  # four times what Linux allows, for the bytes of it that are no characters
# An entry id of Redis holds 64 bits, and its scripts count in doubles: milliseconds must stay below 2^53.
TIME_LIMIT_S = 1e10
COUNT_LIMIT = 2**48

_LENGTH = struct.Struct("<I")
_SAMPLE = struct.Struct("<cBBqddfffqqd")

_Count = Annotated[int, Field(ge=0, le=COUNT_LIMIT)]
_Time = Annotated[float, Field(ge=-TIME_LIMIT_S, le=TIME_LIMIT_S, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=TEXT_LIMIT)]


class MalformedMessage(ValueError):
    """What a decoder said is no message, or a value in it is out of range."""


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """A sample and what the decoder saw in passing."""

    sample: Sample
    motion: float  # mean difference to the sample before, 0 to 1, or that of the frames; 0 is the very same picture
    luma: float  # mean brightness, 0 to 1
    decode_s: float  # CPU spent on this stream since the sample before


@dataclass(frozen=True, slots=True)
class Opened:
    """The source is open. Zero where it does not say."""

    width: _Count
    height: _Count
    fps: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    frames: _Count


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life between samples."""

    decoded: _Count
    sampled: _Count


@dataclass(frozen=True, slots=True)
class _Unclassifiable:
    """A sample without a picture."""

    index: _Count
    pts_s: _Time
    captured_unix_s: _Time
    decoded: _Count
    sampled: _Count
    reason: DropReason | FailReason
    detail: _Text = ""
    path: Annotated[str, Field(max_length=PATH_BYTES)] = ""
    region: _Count = 0

    @property
    def sample(self) -> Sample:
        seen = (self.index, self.pts_s, self.captured_unix_s)
        return Sample(*seen, 0, 0.0, self.decoded, self.sampled, self.path, self.region)


@dataclass(frozen=True, slots=True)
class FrameFailed(_Unclassifiable):
    """The frame of a sample could not be decoded."""

    reason: FailReason


@dataclass(frozen=True, slots=True)
class FrameDropped(_Unclassifiable):
    """A live sample found no free slot, or came too late."""

    reason: DropReason


@dataclass(frozen=True, slots=True)
class Ended:
    """The source is read to its end."""

    decoded: _Count
    sampled: _Count
    note: _Text = ""  # what to know about it: damage, frames that are missing


@dataclass(frozen=True, slots=True)
class DecoderFailed:
    """The decoder's last word when it could not go on; the parent's own when the decoder left without one."""

    failure: FailureKind
    reason: _Text
    cause: FailureCause | None = None  # where the kind does not tell


Told = Opened | Progress | FrameFailed | FrameDropped | Ended | DecoderFailed  # the messages in JSON
Message = SampleMessage | Told

_KINDS: dict[bytes, type[Told]] = {
    b"O": Opened,
    b"P": Progress,
    b"F": FrameFailed,
    b"D": FrameDropped,
    b"E": Ended,
    b"X": DecoderFailed,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}
_ADAPTERS: dict[bytes, TypeAdapter[Told]] = {tag: TypeAdapter(kind) for tag, kind in _KINDS.items()}


def pack(message: Message) -> bytes:
    """A message as it crosses the socket."""
    if isinstance(message, SampleMessage):
        return _pack_sample(message)
    content = {name: _sendable(name, value) for name, value in asdict(message).items()}
    packet = _TAGS[type(message)] + orjson.dumps(content)
    return _LENGTH.pack(len(packet)) + packet


def _pack_sample(message: SampleMessage) -> bytes:
    sample = message.sample
    path = _valid(sample.path).encode()
    return (
        _LENGTH.pack(_SAMPLE.size + len(path))
        + _SAMPLE.pack(
            b"S",
            sample.slot,
            sample.region,
            sample.index,
            sample.pts_s,
            sample.captured_unix_s,
            sample.scene_change,
            message.motion,
            message.luma,
            sample.decoded,
            sample.sampled,
            message.decode_s,
        )
        + path
    )


def _sendable(name: str, value: Any) -> Any:
    """Texts made valid and cut to length."""
    return _valid(value)[: PATH_BYTES if name == "path" else TEXT_LIMIT] if isinstance(value, str) else value


def _valid(text: str) -> str:
    """The name of a file may hold bytes that are no characters."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Unpacker:
    """Messages out of a stream of bytes.

    Args:
        slots: how many slots the decoder has.
        regions: how many samples a frame has.
    """

    def __init__(self, slots: int, regions: int = 1) -> None:
        self._slots = slots
        self._regions = regions
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[Message]:
        """The messages that are complete by now, to be taken to the last; the start of another is kept.

        Raises:
            MalformedMessage: what comes next is none.
        """
        content = self._rest + received if self._rest else received
        at = 0
        while len(content) >= at + _LENGTH.size:
            begin = at + _LENGTH.size
            (length,) = _LENGTH.unpack_from(content, at)
            if not 0 < length <= MESSAGE_BYTES:
                raise MalformedMessage(f"a message of {length} bytes")
            if len(content) < begin + length:
                break
            at = begin + length
            yield self._unpack(content[begin:at])
        self._rest = content[at:]

    def _unpack(self, packet: bytes) -> Message:
        tag = packet[:1]
        if tag == b"S":
            return self._unpack_sample(packet)
        adapter = _ADAPTERS.get(tag)
        if adapter is None:
            raise MalformedMessage(f"no message begins with {tag!r}")
        try:
            message = adapter.validate_json(packet[1:], strict=True)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise MalformedMessage(f"{_KINDS[tag].__name__} {where}: {first['msg']}") from None
        if isinstance(message, _Unclassifiable) and message.region >= self._regions:
            raise MalformedMessage(f"region {message.region} of {self._regions}")
        return message

    def _unpack_sample(self, packet: bytes) -> SampleMessage:
        if not _SAMPLE.size <= len(packet) <= _SAMPLE.size + PATH_BYTES:
            raise MalformedMessage(f"a sample of {len(packet)} bytes")
        fields = _SAMPLE.unpack_from(packet)
        _, slot, region, index, pts_s, captured, scene_change, motion, luma, decoded, sampled, decode_s = fields
        # Written so that NaN, which compares as false with everything, is refused too. Shares may be off by rounding.
        if not (
            slot < self._slots
            and region < self._regions
            and 0 <= index < decoded <= COUNT_LIMIT
            and 0 < sampled <= decoded * self._regions
            and -TIME_LIMIT_S <= pts_s <= TIME_LIMIT_S
            and 0 <= captured <= TIME_LIMIT_S
            and -0.001 <= scene_change <= 1.001
            and 0 <= motion <= 1.001
            and 0 <= luma <= 1.001
            and 0 <= decode_s <= TIME_LIMIT_S
        ):
            raise MalformedMessage(
                f"a sample out of range: slot {slot} of {self._slots}, region {region} of {self._regions}, "
                f"index {index}, pts_s {pts_s}, captured {captured}, decoded {decoded}, sampled {sampled}"
            )
        path = _path(packet[_SAMPLE.size :])
        sample = Sample(index, pts_s, captured, slot, scene_change, decoded, sampled, path, region)
        return SampleMessage(sample, motion, luma, decode_s)


def _path(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise MalformedMessage("a path that is not UTF-8") from None
