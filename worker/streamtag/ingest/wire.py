"""What a decoder process says to its parent, over a stream socket.

A message is its length and its content. Samples, the only frequent message, are a fixed struct; the rest is JSON. One
read of the parent may bring many messages: each system call gives up the interpreter's lock, and getting it back cost
more than all that is done with a sample. The parent answers through shared memory (``slots.py``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import orjson

from streamtag.core.records import Sample

READ_BYTES = 65_536
_LENGTH = struct.Struct("<I")
_SAMPLE = struct.Struct("<cBqddfffqqd")
_SAMPLE_LENGTH = _LENGTH.pack(_SAMPLE.size)


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """A sample and what the decoder saw in passing."""

    sample: Sample
    motion: float  # mean difference to the sample before, 0 to 1; 0 is the very same picture
    luma: float  # mean brightness, 0 to 1
    decode_s: float  # CPU spent on this stream since the sample before


def pack_sample(message: SampleMessage) -> bytes:
    sample = message.sample
    return _SAMPLE_LENGTH + _SAMPLE.pack(
        b"S",
        sample.slot,
        sample.index,
        sample.pts_s,
        sample.captured_unix_s,
        sample.change,
        message.motion,
        message.luma,
        sample.decoded,
        sample.sampled,
        message.decode_s,
    )


Message = SampleMessage | dict[str, Any]  # a dictionary is a JSON message with its ``type``


class Unpacker:
    """Messages out of a stream of bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> list[Message]:
        """The messages that are complete by now; the start of another is kept."""
        content = self._rest + received if self._rest else received
        at, messages = 0, []
        while len(content) >= at + _LENGTH.size:
            begin = at + _LENGTH.size
            (length,) = _LENGTH.unpack_from(content, at)
            if len(content) < begin + length:
                break
            at = begin + length
            messages.append(_unpack(content[begin:at]))
        self._rest = content[at:]
        return messages


def _unpack(packet: bytes) -> Message:
    if packet[:1] != b"S":
        content: dict[str, Any] = orjson.loads(packet)
        return content
    _, slot, index, pts_s, captured, change, motion, luma, decoded, sampled, decode_s = _SAMPLE.unpack(packet)
    return SampleMessage(Sample(index, pts_s, captured, slot, change, decoded, sampled), motion, luma, decode_s)


def pack(kind: str, **content: Any) -> bytes:
    packet = orjson.dumps({"type": kind} | content)
    return _LENGTH.pack(len(packet)) + packet
