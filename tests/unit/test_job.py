"""Jobs as strangers write them: whatever the bytes, a job or one clear line, and never the source in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from streamtag.client import Client
from streamtag.core.job import MAX_JOB_BYTES, Job, Sampling, find_job_id, job_schema
from streamtag.errors import ConfigError
from streamtag.settings import Settings

HEAD = '{"job_id": "a", "source": "x.mp4", '
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def test_a_job_survives_its_json() -> None:
    job = Job("cam-1", "rtsp://u:p@cam/1", stream="door", live=True, sampling=Sampling(fps=2.0), submitted_unix_s=5.5)
    assert Job.from_json(job.to_json()) == job
    assert "u:p@cam" not in repr(job)


@pytest.mark.parametrize("version", ["00", "01", "cc", "fe"])
def test_a_job_says_which_trace_it_belongs_to(version: str) -> None:
    job = Job("a", "x.mp4", traceparent=f"{version}-{TRACE_ID}-b7ad6b7169203331-01")
    assert Job.from_json(job.to_json()).named == {"job_id": "a", "trace_id": TRACE_ID}
    assert Job("a", "x.mp4").named == {"job_id": "a"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ("[" * 50_000, "not valid JSON: recursion limit"),
        (HEAD + '"x": ' + "[" * 50_000, "not valid JSON: recursion limit"),
        ('{"job_id": "a"}', "lacks the field 'source'"),
        (HEAD + '"fsp": 1}', "unknown field 'fsp'; known: job_id, source"),
        (HEAD + '"sampling": {"fsp": 1}}', "job.sampling has an unknown field 'fsp'; known: fps"),
        (HEAD + '"\\u001b[31m": 1}', r"unknown field '\?\[31m'"),
        ('{"job_id": "a b", "source": "x.mp4"}', "job.job_id must be 1 to 128"),
        ('{"job_id": 5, "source": "x.mp4"}', "job_id must be a text, got int"),
        ('{"job_id": "a", "source": "gopher://x"}', "scheme 'gopher'"),
        ('{"job_id": "a", "source": "rtsp://"}', "without a host"),
        ('{"job_id": "a", "source": "rtsp://u:p/w@cam/1"}', "no valid address; write"),
        ('{"job_id": "a", "source": " "}', "only blanks"),
        ('{"job_id": "a", "source": ""}', "must not be empty"),
        (HEAD + '"sampling": {"fps": -1}}', "job.sampling.fps must be above 0"),
        (HEAD + '"sampling": {"fps": ' + "9" * 401 + "}}", "fps must be a finite number"),
        (HEAD + '"sampling": {"fps": ' + "9" * 9000 + "}}", "not valid JSON: number out of range"),
        (HEAD + '"sampling": {"fps": 1e999}}', "fps must be a finite number"),
        (HEAD + '"sampling": {"fps": true}}', "fps must be a number, got bool"),
        (HEAD + '"sampling": {"fps": 1, "every": 2}}', "one of"),
        (HEAD + '"sampling": {"every": ' + "9" * 401 + "}}", "every must be at most 1000000"),
        (HEAD + '"sampling": 5}', "job.sampling must be a JSON object, got int"),
        (HEAD + '"live": "yes"}', "live must be true or false, got str"),
        (HEAD + '"submitted_unix_s": NaN}', "submitted_unix_s must be a finite number"),
        (HEAD + '"submitted_unix_s": -1}', "submitted_unix_s must be at least 0"),
        (HEAD + '"stream": "' + "s" * 129 + '"}', "stream must have at most 128 characters"),
        (HEAD + '"model": "\\u001b[31m"}', "model must not contain control"),
        (HEAD + '"stream": "\\u202etxt"}', "stream must not contain control"),
        (HEAD + '"model": "\\ud800"}', "not valid JSON"),
        ('{"job_id": "a", "source": "a\\u0000b"}', "control characters"),
        (HEAD + '"traceparent": 5}', "traceparent must be a W3C traceparent"),
        (HEAD + '"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"}', "must be a W3C traceparent"),
        (HEAD + f'"traceparent": "ff-{TRACE_ID}-b7ad6b7169203331-01"}}', "must be a W3C traceparent"),
        (HEAD + f'"traceparent": "00-{TRACE_ID.upper()}-b7ad6b7169203331-01"}}', "must be a W3C traceparent"),
        (HEAD + f'"traceparent": "00-{"0" * 32}-b7ad6b7169203331-01"}}', "neither of the first two all zeros"),
        (HEAD + f'"traceparent": "00-{TRACE_ID}-{"0" * 16}-01"}}', "neither of the first two all zeros"),
        (HEAD + f'"traceparent": "00-{TRACE_ID}-b7ad6b7169203331-01\\n"}}', "must be a W3C traceparent"),
        ('{"job_id": "a", "source": "' + "s" * 5000 + '"}', "source must have at most 4096"),
    ],
)
def test_a_bad_job_is_named(text: str, names: str) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        Job.from_json(text)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_bytes_that_are_no_text_are_named() -> None:
    with pytest.raises(ValueError, match="not valid JSON"):
        Job.from_json(b'{"job_id": "a", "source": "caf\xe9.mp4"}')


def test_a_job_larger_than_the_bound_is_not_parsed() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_JOB_BYTES}"):
        Job.from_json(HEAD + '"model": "' + "m" * MAX_JOB_BYTES + '"}')


def test_the_longest_job_is_within_the_bound() -> None:
    widest = "\U0001f600"
    regions = {f"{number:x}" + "r" * 31: (1 / 3, 1 / 3, 1 / 3, 1 / 3) for number in range(16)}
    sampling = Sampling(fps=1 / 3, decode="keyframes", motion_gate=1 / 3, motion_gate_max_s=1 / 3)
    job = Job("j" * 128, widest * 4096, widest * 128, widest * 128, True, sampling, 1.23456789e9, regions)
    assert len(json.dumps(json.loads(job.to_json()))) < MAX_JOB_BYTES
    assert Job.from_json(json.dumps(json.loads(job.to_json()))) == job


def test_a_bad_job_does_not_quote_its_source() -> None:
    for source in ("rtsp://user:hunter2@cam/1", "user:hunter2@cam://x", "http://[hunter2", "rtsp://u:hunter2/w@cam"):
        with pytest.raises(ValueError, match=r"\w") as caught:
            Job.from_json(json.dumps({"job_id": "a", "source": source, "extra": 1}))
        assert "hunter2" not in str(caught.value)
        with pytest.raises(ValueError, match=r"\w") as caught:
            Job.from_json(json.dumps({"job_id": "a b", "source": source}))
        assert "hunter2" not in str(caught.value)


def test_a_record_checks_itself_however_it_is_made() -> None:
    with pytest.raises(ValidationError):
        Job("a", "caf\udce9.mp4")
    with pytest.raises(ValidationError):
        replace(Job("a", "x.mp4"), stream="\x1b[31m")


@given(st.binary(max_size=400))
def test_no_bytes_break_the_reading(raw: bytes) -> None:
    _read(raw)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.sampled_from(
    ["job_id", "source", "stream", "model", "live", "sampling", "submitted_unix_s", "fps", "more"]
)


@given(st.dictionaries(_FIELDS, _VALUES), st.dictionaries(st.sampled_from(["fps", "every", "keyframes"]), _VALUES))
def test_no_values_break_the_reading(content: dict[str, Any], sampling: dict[str, Any]) -> None:
    whole = {"job_id": "a", "source": "x.mp4", "sampling": sampling} | content
    _read(json.dumps(whole).encode())


@given(st.integers(min_value=0), st.integers(0, 255))
def test_no_changed_byte_breaks_the_reading(place: int, value: int) -> None:
    raw = bytearray(Job("cam-1", "rtsp://u:p@cam/1", "door", live=True, sampling=Sampling(fps=2.0)).to_json().encode())
    raw[place % len(raw)] = value
    _read(bytes(raw))


def _read(raw: bytes) -> None:
    """A job, or a ValueError of one line that is ours."""
    fault = _fault(raw)
    assert "\n" not in str(fault)
    assert not isinstance(fault, ValidationError | UnicodeError)


def _fault(raw: bytes) -> ValueError | None:
    try:
        job = Job.from_json(raw)
    except ValueError as error:
        return error
    assert Job.from_json(job.to_json()) == job
    return None


def test_only_cameras_and_rtsp_are_live_unless_said() -> None:
    assert Job("a", "rtsp://cam/1").is_live
    assert not Job("a", "clip.mp4").is_live
    assert Job("a", "http://cam/mjpeg", live=True).is_live


@pytest.mark.parametrize(
    ("raw", "job_id"),
    [
        (b'{"job_id": "mine", "unknown": 1}', "mine"),
        (b'{"source": "\xff", "job_id":"mine"', "mine"),
        (b'{"job_id": "mine", "model": "' + b"m" * 300_000, "mine"),
        (b'{"job_id": "not mine!"}', ""),
        (b"[" * 300_000, ""),
    ],
)
def test_the_id_of_a_job_that_cannot_be_read_is_found(raw: bytes, job_id: str) -> None:
    assert find_job_id(raw) == job_id


@pytest.mark.parametrize(
    "roi",
    [
        "[0.5, 0, 0.6, 1]",
        "[0, 0, 0, 1]",
        "[0, 0, 1]",
        "[0, 0, 1, 1, 1]",
        "[-0.1, 0, 1, 1]",
        '["0", 0, 1, 1]',
        "[0, 0, 1e999, 1]",
        '{"door": [0, 0, 1, 1.5]}',
        '{"door": [0, 0.5, 1, 1]}',
        '{"the door": [0, 0, 1, 1]}',
        '{"": [0, 0, 1, 1]}',
        "{}",
        json.dumps({f"r{n}": [0, 0, 1, 1] for n in range(17)}),
        '{"door": {"door": [0, 0, 1, 1]}}',
        "0.5",
    ],
)
def test_a_region_that_is_none_is_refused_by_its_name(roi: str) -> None:
    with pytest.raises(ValueError, match=r"^job\.roi"):
        Job.from_json(f'{{"job_id": "a", "source": "a.mp4", "roi": {roi}}}')


def test_a_region_lies_within_the_frame() -> None:
    job = Job.from_json(f'{{"job_id": "a", "source": "a.mp4", "roi": [{2 / 3}, 0, {1 / 3}, 1]}}')
    assert job.roi == (2 / 3, 0, 1 / 3, 1)
    assert Job.from_json(job.to_json()) == job


def test_regions_have_names_and_keep_their_order() -> None:
    job = Job.from_json(
        '{"job_id": "a", "source": "a.mp4", "roi": {"yard": [0, 0, 1, 0.5], "door": [0.5, 0.5, 0.5, 0.5]}}'
    )
    assert list(job.regions.items()) == [("yard", (0, 0, 1, 0.5)), ("door", (0.5, 0.5, 0.5, 0.5))]
    assert Job.from_json(job.to_json()) == job
    assert Job("a", "a.mp4").regions == {"": None}
    assert Job("a", "a.mp4", roi=(0, 0, 1, 0.5)).regions == {"": (0, 0, 1, 0.5)}


def test_the_schema_closes_the_record_and_bounds_its_texts() -> None:
    schema = job_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["job_id", "source"]
    assert schema["properties"]["stream"]["maxLength"] == 128
    assert schema["$defs"]["Sampling"]["properties"].keys() == {
        "fps",
        "every",
        "keyframes",
        "decode",
        "motion_gate",
        "motion_gate_max_s",
    }


@pytest.mark.parametrize(
    ("source", "names"), [("", "empty"), ("  ", "empty"), ("caf\udce9.mp4", "UTF-8"), ("a\x1b[31m.mp4", "control")]
)
def test_the_door_refuses_what_the_worker_would(source: str, names: str) -> None:
    """Nothing listens there: the refusal comes before Redis is asked."""
    settings = Settings.model_validate({"redis": {"url": "redis://127.0.0.1:9/0"}})
    with Client(settings=settings) as client, pytest.raises(ConfigError, match=names):
        client.submit(source)
    with Client(settings=settings) as client, pytest.raises(ConfigError, match=r"sampling\.fps must be above 0"):
        client.submit("a.mp4", fps=-3)
    for watch in ([""], ["dog", " "]):
        with Client(settings=settings) as client, pytest.raises(ConfigError, match=r"watch: a label must not be blank"):
            client.submit("a.mp4", watch=watch)
