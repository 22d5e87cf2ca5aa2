"""Edit lists of MP4 (ISO/IEC 14496-12, 8.6.6), which no muxer at hand writes with more than one part."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

_ONCE = 1 << 16  # the speed


def edit(path: Path, parts: Sequence[tuple[float, float]]) -> None:
    """Have a film of one track show these parts of it, one after the other.

    Args:
        path: a film whose index lies at its end, as FFmpeg writes it.
        parts: where each begins in the film, and how long it is, in seconds.
    """
    content = bytearray(path.read_bytes())
    film = _find(content, "moov")
    track = _find(content, "moov", "trak")
    film_ticks = _word(content, _find(content, "moov", "mvhd")[0] + 20)
    track_ticks = _word(content, _find(content, "moov", "trak", "mdia", "mdhd")[0] + 20)
    entries = b"".join(
        struct.pack(">IiI", round(length_s * film_ticks), round(begin_s * track_ticks), _ONCE)
        for begin_s, length_s in parts
    )
    box = _box(b"edts", _box(b"elst", struct.pack(">II", 0, len(parts)) + entries))
    begin, end = _find(content, "moov", "trak", "edts")
    content[begin:end] = box
    for outer, _ in (film, track):
        struct.pack_into(">I", content, outer, _word(content, outer) + len(box) - (end - begin))
    path.write_bytes(content)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def _word(content: bytearray, place: int) -> int:
    return int(struct.unpack_from(">I", content, place)[0])


def _find(content: bytearray, *names: str) -> tuple[int, int]:
    """Where the first box of these names, each within the one before, begins and ends."""
    begin, end = -8, len(content)
    for name in names:
        begin += 8
        while content[begin + 4 : begin + 8] != name.encode():
            begin += _word(content, begin)
            assert begin < end, f"no {name}"
        end = begin + _word(content, begin)
    return begin, end
