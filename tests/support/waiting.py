"""Waiting for something to become true: generous, since a slow machine is no defect."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 90.0

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value | None], what: str, limit_s: float = LIMIT_S) -> Value:
    """Wait for a condition and return its value; fail by name at the limit."""
    deadline_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.05)
