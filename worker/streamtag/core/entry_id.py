"""Ids of the entries of Redis's streams."""

from __future__ import annotations


def id_of(text: str) -> tuple[int, int]:
    """An entry's id as numbers, which compare as Redis compares them: milliseconds first; zeros for what is none."""
    ms, _, number = text.partition("-")
    if not (ms.isascii() and ms.isdigit() and number.isascii() and number.isdigit()) or len(text) > 42:
        return 0, 0
    return int(ms), int(number)
