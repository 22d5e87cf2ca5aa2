"""Fonts for labels in any script: which font files of this machine have which letters, asked of fontconfig."""

from __future__ import annotations

import bisect
import functools
import shutil
import subprocess
from dataclasses import dataclass

from streamtag.logs import log

LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Font:
    """A font file and the letters it has."""

    path: str
    index: int  # of the face in a collection
    starts: tuple[int, ...]  # code points, ascending
    ends: tuple[int, ...]  # inclusive

    def has(self, sign: str) -> bool:
        at = bisect.bisect_right(self.starts, ord(sign)) - 1
        return at >= 0 and ord(sign) <= self.ends[at]


def fonts(text: str) -> tuple[Font, ...]:
    """Fonts that together have the letters of a text, as far as this machine has such fonts.

    Characters of ASCII need none: Pillow's own font has them.
    """
    chosen: list[Font] = []
    missing = []
    for sign in sorted({sign for sign in text if ord(sign) > 0x7E and not sign.isspace()}):
        if any(font.has(sign) for font in chosen):
            continue
        font = _match(sign)
        if font is not None and font.has(sign):
            chosen.append(font)
        else:
            missing.append(sign)
    _warn("".join(missing))
    return tuple(chosen)


@functools.cache
def _warn(missing: str) -> None:
    if missing:
        log.warning(
            "no font of this machine has some letters, they are drawn as boxes",
            letters=missing[:40],
            remedy="install fontconfig and fonts of their scripts, such as fonts-noto-core and fonts-noto-cjk",
        )


@functools.cache
def _match(sign: str) -> Font | None:
    """The font that fontconfig prefers for a letter; it may be one without it."""
    program = shutil.which("fc-match")
    if program is None:
        return None
    command = [program, "--format", "%{file}\n%{index}\n%{charset}", f"sans:charset={ord(sign):x}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
        path, index, charset = ran.stdout.split("\n")
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    ranges = [part.partition("-") for part in charset.split()]
    starts = tuple(int(start, 16) for start, _, _ in ranges)
    ends = tuple(int(end or start, 16) for start, _, end in ranges)
    return Font(path, int(index), starts, ends)
