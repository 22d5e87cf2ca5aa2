"""Jobs as strangers write them, and secrets that must not be seen."""

from __future__ import annotations

import json

import pytest
from streamtag.core.records import Counters, Job, Sampling
from streamtag.core.source import SourceKind, source_kind
from streamtag.redaction import redact


def test_a_job_survives_its_json() -> None:
    job = Job("cam-1", "rtsp://u:p@cam/1", stream="door", live=True, sampling=Sampling(fps=2.0), submitted_unix_s=5.5)
    assert Job.from_json(job.to_json()) == job


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"job_id": "a"}', "source"),
        ('{"job_id": "a", "source": "x.mp4", "fsp": 1}', "fsp"),
        ('{"job_id": "a b", "source": "x.mp4"}', "job_id"),
        ('{"job_id": 5, "source": "x.mp4"}', "job_id must be str"),
        ('{"job_id": "a", "source": "gopher://x"}', "gopher"),
        ('{"job_id": "a", "source": "x.mp4", "sampling": {"fps": -1}}', "fps"),
        ('{"job_id": "a", "source": "x.mp4", "sampling": {"fps": 1, "every": 2}}', "one of"),
        ('{"job_id": "a", "source": "x.mp4", "live": "yes"}', "live must be bool"),
        ('{"job_id": "a", "source": "a\\u0000b"}', "control characters"),
    ],
)
def test_a_bad_job_is_named(text: str, names: str) -> None:
    with pytest.raises(ValueError, match=names.replace("(", r"\(")):
        Job.from_json(text)


def test_a_bad_job_does_not_quote_its_source() -> None:
    with pytest.raises(ValueError, match="extra") as caught:
        Job.from_json(json.dumps({"job_id": "a", "source": "rtsp://user:hunter2@cam/1", "extra": 1}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://user:hunter2@cam/1",
        "cannot open rtsp://user:hunter2@cam:554/1?x=y (refused)",
        "http://cam/video?user=admin&password=hunter2&channel=1",
        "https://cdn/x.mp4?X-Amz-Signature=hunter2",
        "rtsp://user:p@ss:hunter2@cam/1",
    ],
)
def test_redaction(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "cam" in redact(text) or "cdn" in redact(text)


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


def test_only_cameras_and_rtsp_are_live_unless_said() -> None:
    assert Job("a", "rtsp://cam/1").is_live
    assert not Job("a", "clip.mp4").is_live
    assert Job("a", "http://cam/mjpeg", live=True).is_live


def test_counters_close_and_survive() -> None:
    counters = Counters(decoded=10, sampled=5, published=3, dropped={"stale": 1}, failed={"corrupt": 1})
    assert counters.handled == counters.sampled
    assert counters.to_dict()["skipped"] == 5
    assert Counters.from_dict(counters.to_dict()) == counters
