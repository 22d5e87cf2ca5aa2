"""Kinds of source, and the account of a job."""

from __future__ import annotations

import pytest
from streamtag.core.records import Counters
from streamtag.core.source import SourceKind, path_of, source_kind
from streamtag.errors import ConfigError


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


def test_a_scheme_that_no_job_may_have_is_told_to_people_and_to_validators() -> None:
    for kind in (ConfigError, ValueError):
        with pytest.raises(kind, match="scheme 'ftp' is not one of"):
            source_kind("ftp://host/film.mp4")


def test_a_file_is_found_under_either_name() -> None:
    assert path_of("file:///films/a%20film.mp4") == path_of("/films/a film.mp4") == "/films/a film.mp4"


def test_counters_close() -> None:
    counters = Counters(decoded=10, sampled=5, published=3, dropped={"stale": 1}, failed={"corrupt": 1})
    assert counters.handled == counters.sampled
    assert counters.to_dict()["skipped"] == 5


def test_a_copied_account_stays_as_it_was() -> None:
    counters = Counters(decoded=2, sampled=1, dropped={"stale": 1})
    copy = counters.copy()
    counters.dropped["stale"] += 1
    assert copy == Counters(decoded=2, sampled=1, dropped={"stale": 1})
