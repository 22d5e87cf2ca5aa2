"""Kinds of source, and the account of a job."""

from __future__ import annotations

import pytest
from streamtag.core.records import Counters
from streamtag.core.source import SourceKind, source_kind


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://cam/1", SourceKind.RTSP),
        ("https://host/clip.mp4", SourceKind.HTTP),
        ("camera:0", SourceKind.CAMERA),
        ("/dev/video2", SourceKind.CAMERA),
        ("/data/clip.mp4", SourceKind.VIDEO),
        ("file:///data/photo.JPG", SourceKind.IMAGE),
        ("photos/*.png", SourceKind.IMAGES),
        ("photos/", SourceKind.IMAGES),
    ],
)
def test_kinds(source: str, kind: SourceKind) -> None:
    assert source_kind(source) is kind


def test_counters_close() -> None:
    counters = Counters(decoded=10, sampled=5, published=3, dropped={"stale": 1}, failed={"corrupt": 1})
    assert counters.handled == counters.sampled
    assert counters.to_dict()["skipped"] == 5


def test_a_copied_account_stays_as_it_was() -> None:
    counters = Counters(decoded=2, sampled=1, dropped={"stale": 1})
    copy = counters.copy()
    counters.dropped["stale"] += 1
    assert copy == Counters(decoded=2, sampled=1, dropped={"stale": 1})
