"""A decoder that was taken over gets nowhere; one that was not reads every kind of source all the same."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.ingest import cage
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession, forkserver
from streamtag.ingest.wire import DecoderFailed
from streamtag.pipeline.service import Service
from streamtag.settings import Settings, SourceSettings

from tests.support import run_cli
from tests.support.breakout import HARMLESS, SECRET, break_out, break_out_of_gate, spin
from tests.support.traps import Trap

pytestmark = pytest.mark.skipif(bool(cage.missing()), reason=f"this machine lacks {cage.missing()}")


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    shutil.copy(clip, tmp_path / "source.mp4")
    (tmp_path / "secret.txt").write_text(SECRET)
    return tmp_path


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap("127.0.0.1") as found:
        yield found


def did(source: str, settings: SourceSettings) -> set[str]:
    """What a decoder that was taken over managed to do."""
    request = Request(source, False, Sampling(), 5.0, Preprocessing(32), settings, 4, -1, 0, 0)
    with DecoderSession(request, break_out) as session:
        last = list(session.messages(60))[-1]
    assert isinstance(last, DecoderFailed)
    assert last.reason.startswith("did: "), last.reason
    return set(last.reason.removeprefix("did: ").split())


def test_a_decoder_of_a_file_can_do_nothing_but_read_it(folder: Path, trap: Trap) -> None:
    before = sorted(folder.iterdir())
    size = (folder / "source.mp4").stat().st_size
    settings = SourceSettings(cage="strict", forbidden=[trap.address])
    assert did(str(folder / "source.mp4"), settings) == {"SOURCE", "THREAD"}
    assert sorted(folder.iterdir()) == before
    assert (folder / "source.mp4").stat().st_size == size
    assert trap.heard == []


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp"])
def test_a_decoder_of_an_address_reaches_its_gate_and_no_file(folder: Path, trap: Trap, scheme: str) -> None:
    settings = SourceSettings(cage="strict", forbidden=[trap.address])
    assert did(f"{scheme}://127.0.0.1:9{folder}/source.mp4", settings) == {"THREAD"}
    assert trap.heard == []


def test_without_the_cage_the_same_attempts_succeed(folder: Path, trap: Trap) -> None:
    """Or the tests above would prove nothing. Those that would harm the machine of the tests are left out."""
    assert did(str(folder / "source.mp4"), SourceSettings(cage="off", forbidden=[trap.address])) == set(HARMLESS)
    assert trap.heard != []


def test_a_gate_can_touch_no_file_and_start_no_process(folder: Path) -> None:
    ours, theirs = forkserver().Pipe(duplex=False)
    arguments = (SourceSettings(cage="strict"), str(folder), theirs)
    process = forkserver().Process(target=break_out_of_gate, args=arguments)
    process.start()
    theirs.close()
    assert ours.recv() == []
    process.join(10)


def test_a_decoder_without_progress_runs_out_of_its_processor_time(folder: Path) -> None:
    """Also one that says it makes progress, or a parent that looks away: the kernel counts, and ends it."""
    settings = SourceSettings(watchdog_s=1.0)
    source = str(folder / "source.mp4")
    request = Request(source, False, Sampling(), 5.0, Preprocessing(32), settings, 4, -1, 0, 0)
    with DecoderSession(request, spin) as session:
        last = list(session.messages(60))[-1]
        assert isinstance(last, DecoderFailed)
        assert signal.SIGXCPU.name in last.reason


def test_strict_does_not_start_where_the_cage_is_incomplete(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cage, "missing", lambda: ["Landlock"])
    strict = settings.model_copy(update={"source": SourceSettings(cage="strict")})
    with pytest.raises(ConfigError, match="lacks: Landlock"):
        Service(strict).run()
    cage.check(SourceSettings(cage="auto"))


def test_doctor_tells_what_is_in_force(settings: Settings) -> None:
    ran = run_cli(settings, "doctor", "--json")
    assert '"decoder cage"' in ran.stdout
    assert "complete: Landlock" in ran.stdout
