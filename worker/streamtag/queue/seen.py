"""What a result says, read quickly: for those who look at hundreds of results a second for a few numbers in them.

``published.read_result`` checks every field and takes twelve times as long. Here what is not used is not looked at, and
what no worker writes counts as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from streamtag.redaction import printable

MAX_BYTES: Final = 256 * 1024
MAX_NAMES: Final = 100  # labels of a sample, and groups
MAX_ACTIVE: Final = 64
MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample's outcome. Names are fit to be seen, and begin with the region where there is one."""

    pts_s: float
    region: str
    labels: tuple[tuple[str, float, float], ...]  # name, score of this sample, smoothed score; best smoothed first
    groups: tuple[tuple[str, float, float], ...]
    active: tuple[str, ...]


def read_seen(content: bytes) -> Seen | None:
    """A sample's outcome; None of what no worker writes."""
    if len(content) > MAX_BYTES:
        return None
    try:
        result = orjson.loads(content)
        region = printable(str(result.get("region", "")), 40)
        prefix = f"{region}:" if region else ""
        return Seen(
            float(result["pts_s"]),
            region,
            tuple(_scored(prefix, one) for one in result["labels"][:MAX_NAMES]),
            tuple(_scored(prefix, one) for one in result.get("groups", ())[:MAX_NAMES]),
            tuple(prefix + printable(str(name), MAX_NAME) for name in result["active"][:MAX_ACTIVE]),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _scored(prefix: str, label: dict[str, Any]) -> tuple[str, float, float]:
    return prefix + printable(str(label["name"]), MAX_NAME), _share(label["score"]), _share(label["smoothed"])


def _share(score: Any) -> float:
    return min(1.0, max(0.0, float(score)))
