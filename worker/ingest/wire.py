"""What a decoder process says to its parent, over a SOCK_SEQPACKET socket.

A message is one packet, so there is no framing and a partial read cannot happen. Samples, the only frequent
message, are a fixed struct; the rest is JSON. The parent answers through shared memory (``slots.py``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import orjson

from worker.records import Sample

MAX_PACKET_BYTES = 16_384
_SAMPLE = struct.Struct("<cBqddfffqqd")


@dataclass(frozen=True, slots=True)
class SampleMessage:
    """A sample and what the decoder saw in passing."""

    sample: Sample
    motion: float  # mean difference to the sample before, 0 to 1; 0 is the very same picture
    luma: float  # mean brightness, 0 to 1
    decode_s: float  # CPU spent on this stream since the sample before


def pack_sample(message: SampleMessage) -> bytes:
    sample = message.sample
    return _SAMPLE.pack(
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


def unpack(packet: bytes) -> SampleMessage | dict[str, Any]:
    """A sample, or the content of a JSON message with its ``type``."""
    if packet[:1] != b"S":
        content: dict[str, Any] = orjson.loads(packet)
        return content
    _, slot, index, pts_s, captured, change, motion, luma, decoded, sampled, decode_s = _SAMPLE.unpack(packet)
    return SampleMessage(Sample(index, pts_s, captured, slot, change, decoded, sampled), motion, luma, decode_s)


def pack(kind: str, **content: Any) -> bytes:
    return orjson.dumps({"type": kind} | content)[:MAX_PACKET_BYTES]
