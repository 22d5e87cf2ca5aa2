"""Which sources a job may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.errors import RejectJob
from streamtag.ingest.policy import allowed
from streamtag.settings import SourceSettings


def test_by_default_files_anywhere_and_all_schemes_are_allowed() -> None:
    assert allowed("/any/where.mp4", SourceSettings()) == "/any/where.mp4"
    assert allowed("file:///any/where%20else.mp4", SourceSettings()) == "/any/where else.mp4"
    assert allowed("rtsp://10.1.2.3/cam", SourceSettings()) == "rtsp://10.1.2.3/cam"
    assert allowed("http://10.1.2.3/a.mp4", SourceSettings()) == "http://10.1.2.3/a.mp4"


def test_schemes_narrow_it() -> None:
    with pytest.raises(RejectJob, match=r"source\.schemes"):
        allowed("/a.mp4", SourceSettings(schemes=["rtsp"]))


def test_file_roots_hold_whatever_the_path_looks_like(tmp_path: Path) -> None:
    inside, outside = tmp_path / "videos", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    (outside / "x.mp4").touch()
    (inside / "link.mp4").symlink_to(outside / "x.mp4")
    settings = SourceSettings(file_roots=[inside])
    assert allowed(str(inside / "a.mp4"), settings)
    for path in (outside / "x.mp4", inside / ".." / "other" / "x.mp4", inside / "link.mp4"):
        with pytest.raises(RejectJob, match=r"source\.file_roots"):
            allowed(str(path), settings)
