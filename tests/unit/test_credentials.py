"""Credentials by name: in which forms they lie there, and where they may go."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.core.job import Job
from streamtag.errors import RejectJob
from streamtag.ingest.credentials import MAX_BYTES, Place, Unusable, read, with_credential
from streamtag.ingest.policy import AuthFailed, check_path
from streamtag.settings import SourceSettings

PASSWORD = "p@ss:w/rd #ü%41"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "credentials"
    (made / "lobby").mkdir(parents=True)
    for name, content in {
        "username": "admin\n",
        "password": f"{PASSWORD}\r\n",
        "hosts": "cam.lan\n10.0.0.0/24",
    }.items():
        (made / "lobby" / name).write_text(content)
    (made / "yard").write_text(f"viewer:{PASSWORD}@rtsps://Yard.lan:8554, 10.0.1.9\n")
    return made


def put(folder: Path, content: bytes) -> Path:
    (folder / "odd").write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "source", "becomes"),
    [
        ("lobby", "rtsp://cam.lan/1?x=y", "rtsp://admin:{0}@cam.lan/1?x=y"),
        ("lobby", "http://CAM.lan:81/1", "http://admin:{0}@CAM.lan:81/1"),
        ("lobby", "rtsp://10.0.0.77/1", "rtsp://admin:{0}@10.0.0.77/1"),
        ("yard", "rtsps://yard.lan:8554/1", "rtsps://viewer:{0}@yard.lan:8554/1"),
        ("yard", "https://10.0.1.9/1", "https://viewer:{0}@10.0.1.9/1"),
    ],
)
def test_it_is_put_into_the_address_of_its_own_hosts(folder: Path, name: str, source: str, becomes: str) -> None:
    quoted = "p%40ss%3Aw%2Frd%20%23%C3%BC%2541"
    assert with_credential(source, name, folder) == becomes.format(quoted)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("lobby", "rtsp://evil.lan/1"),
        ("lobby", "rtsp://cam.lan.evil/1"),
        ("lobby", "rtsp://10.0.1.77/1"),
        ("lobby", "rtsp://10.0.0.7.evil/1"),
        ("yard", "rtsp://yard.lan:8554/1"),  # in the clear
        ("yard", "rtsps://yard.lan/1"),  # another port
        ("yard", "http://169.254.169.254/"),
    ],
)
def test_it_goes_to_no_other_host_scheme_or_port(folder: Path, name: str, source: str) -> None:
    """Else any producer could have the password sent to a server of his own."""
    with pytest.raises(RejectJob, match=r"may not go to this host; .*source\.credentials") as refused:
        with_credential(source, name, folder)
    assert "p@ss" not in str(refused.value)


def test_one_that_is_not_there_is_asked_for_again_as_a_refused_password_is(folder: Path) -> None:
    with pytest.raises(AuthFailed, match=r"'none'.*there is no none in source\.credentials; it is a folder with"):
        with_credential("rtsp://cam.lan/1", "none", folder)
    with pytest.raises(AuthFailed, match=r"set source\.credentials"):
        with_credential("rtsp://cam.lan/1", "lobby", None)
    (folder / "lobby" / "hosts").unlink()
    with pytest.raises(AuthFailed, match="there is no lobby/hosts"):
        with_credential("rtsp://cam.lan/1", "lobby", folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not user:password@hosts"),
        (b"secret@cam.lan", "not user:password@hosts"),
        (b"admin:secret", "not user:password@hosts"),
        (b":secret@cam.lan", "its user is empty"),
        (b"admin:secret@", "may go nowhere"),
        (b"admin:secret@ftp://cam.lan", "its hosts are not"),
        (b"admin:secret@cam.lan:port", "its hosts are not"),
        (b"admin:secret@10.0.0.0/99", "its hosts are not"),
        (b"admin:secret@cam.lan/path", "its hosts are not"),
        (b"admin:secret\xff@cam.lan", "no text in UTF-8"),
        (b"admin:secret@" + b"x" * MAX_BYTES, "larger than"),
    ],
)
def test_a_file_that_is_none_is_named_and_not_quoted(folder: Path, content: bytes, says: str) -> None:
    with pytest.raises(Unusable, match=says) as refused:
        read("odd", put(folder, content))
    assert "secret" not in str(refused.value)


def test_its_text_is_not_in_what_is_printed(folder: Path) -> None:
    assert PASSWORD not in repr(read("lobby", folder))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host"),
        ("rtsp://", "no host"),
        ("user@cam.lan", "no host"),
        ("cam.lan:99999", "Port"),
        ("gopher://cam.lan", "another scheme"),
        ("[::1", "Invalid IPv6"),
    ],
)
def test_what_is_no_place_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Place.parse(text)


def test_addresses_of_six_groups_are_places_too() -> None:
    assert Place.parse("[fd00::1]:554").holds("rtsp", "fd00::1", 554)
    assert Place.parse("fd00::/16").holds("rtsp", "fd00::77", 554)
    assert not Place.parse("fd00::/16").holds("rtsp", "10.0.0.1", 554)


@pytest.mark.parametrize(
    ("source", "credential", "says"),
    [
        ("rtsp://u:p@cam.lan/1", "lobby", "leave user and password out"),
        ("rtsp://u@cam.lan/1", "lobby", "leave user and password out"),
        ("rtsp://cam.lan\\@evil.lan/1", "lobby", "plain host"),
        ("rtsp://cam.lan%2eevil/1", "lobby", "plain host"),
        ("film.mp4", "lobby", "is for rtsp"),
        ("camera:0", "lobby", "is for rtsp"),
        ("rtsp://cam.lan/1", "../lobby", "letters, digits"),
        ("rtsp://cam.lan/1", ".", "letters, digits"),
        ("rtsp://cam.lan/1", "a" * 64, "letters, digits"),
    ],
)
def test_the_door_refuses_what_names_no_one_password_of_one_host(source: str, credential: str, says: str) -> None:
    raw = f'{{"job_id": "j", "source": {source.replace(chr(92), chr(92) * 2)!r}, "credential": "{credential}"}}'
    with pytest.raises(ValueError, match=says):
        Job.from_json(raw.replace("'", '"'))


def test_a_job_that_names_one_holds_no_secret() -> None:
    job = Job.from_json('{"job_id": "j", "source": "rtsp://[fd00::1]:554/1", "credential": "lobby"}')
    assert (job.credential, job.holds_secret) == ("lobby", False)
    assert Job.from_json(job.to_json()) == job


def test_no_job_reads_the_folder_as_its_source(folder: Path, tmp_path: Path) -> None:
    settings = SourceSettings(credentials=folder)
    (tmp_path / "link").symlink_to(folder / "yard")
    for path in (folder / "lobby" / "password", folder / "yard", tmp_path / "link", folder):
        with pytest.raises(RejectJob, match="has its credentials"):
            check_path(path, settings)
    check_path(tmp_path / "film.mp4", settings)
