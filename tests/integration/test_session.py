"""A decoder process that lies, hangs or dies harms nothing but its own session."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from multiprocessing.util import get_temp_dir
from pathlib import Path

import psutil
import pytest
from streamtag.core.bundle import Preprocessing
from streamtag.core.failure import FailureKind
from streamtag.core.job import Sampling
from streamtag.core.records import Sample
from streamtag.ingest import wire
from streamtag.ingest.decoder import FILM_NICENESS
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession, cannot_start
from streamtag.ingest.slots import LONGEST_WAIT_S, SlotMemory
from streamtag.settings import SourceSettings

from tests.support import LIMIT_S, eventually
from tests.support.limits import first_free_descriptor, limited

PREPROCESSING = Preprocessing(32)


def request(source: str = "none.mp4", slots: int = 4) -> Request:
    return Request(source, False, Sampling(), 5.0, PREPROCESSING, SourceSettings(), slots, -1, 0, 0)


def sample(slot: int, number: int = 1) -> bytes:
    return wire.pack(wire.SampleMessage(Sample(0, 0.0, 1e9, slot, 0.0, number, number), 0.0, 0.5, 0.0))


# What a decoder process may do that is not its work. Each is the entry point of a process.


def says_nonsense(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    parent.sendall(sample(0) + b"GET / HTTP/1.1\r\n")
    time.sleep(60)


def names_a_slot_twice(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    for number in count(1):
        parent.sendall(sample(1, number))


def leaves_a_number_out(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    parent.sendall(sample(0, 1) + sample(1, 3))


def claims_a_slot_that_is_not_there(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    parent.sendall(sample(4))


def says_nothing(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    time.sleep(60)


def dies(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    os.abort()


def shrinks_the_memory(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    try:
        os.ftruncate(memory._descriptor, 0)  # noqa: SLF001 - what an intruder in the process would do
    except PermissionError:
        parent.sendall(wire.pack(wire.Ended(0, 0, "not permitted")))


@pytest.mark.parametrize(
    ("decode", "samples", "reason"),
    [
        (says_nonsense, 1, "said what it may not: a message of 542393671 bytes"),
        (names_a_slot_twice, 1, "slot 1 holds a sample that is not done with"),
        (leaves_a_number_out, 1, "sample number 3 after number 1"),
        (claims_a_slot_that_is_not_there, 0, "slot 4 of 4"),
        (says_nothing, 0, "no sign of life for 2 s"),
        (dies, 0, "died on it (signal 6)"),
    ],
)
def test_the_last_word_on_a_decoder_that_misbehaves_is_its_failure(decode: object, samples: int, reason: str) -> None:
    # What a busy machine takes until a process has died is no silence.
    patience_s = 2.0 if decode is says_nothing else LIMIT_S
    with DecoderSession(request(), decode) as session:  # type: ignore[arg-type]
        *before, last = session.messages(patience_s)
    assert len([message for message in before if isinstance(message, wire.SampleMessage)]) == samples
    assert isinstance(last, wire.DecoderFailed)
    assert last.failure is FailureKind.RETRY
    assert reason in last.reason


def test_a_decoder_cannot_pull_the_memory_from_under_its_parent() -> None:
    with DecoderSession(request(), shrinks_the_memory) as session:
        assert list(session.messages(LIMIT_S)) == [wire.Ended(0, 0, "not permitted")]
        assert session.picture(3).sum() == 0


def test_a_slot_that_is_released_may_be_used_again(clip: Path) -> None:
    """Forty samples through two slots."""
    seen = []
    with DecoderSession(request(str(clip), slots=2)) as session:
        for message in session.messages(LIMIT_S):
            if isinstance(message, wire.SampleMessage):
                seen.append(message.sample.index)
                session.release(message.sample.slot)
    assert len(seen) == 40


def test_a_decoder_that_waits_for_a_slot_looks_seldom(clip: Path) -> None:
    """Each look wakes a process, which cost films ahead of a busy device a twentieth of what they did in all."""
    with DecoderSession(request(str(clip), slots=2)) as session:
        taken = (message for message in session.messages(LIMIT_S) if isinstance(message, wire.SampleMessage))
        slots = [next(taken).sample.slot for _ in range(2)]
        process = psutil.Process(session.pid)
        began_s, before = time.monotonic(), process.num_ctx_switches().voluntary
        time.sleep(0.5)
        looks = process.num_ctx_switches().voluntary - before
        assert 1 <= looks <= (time.monotonic() - began_s) / LONGEST_WAIT_S + 20
        for slot in slots:
            session.release(slot)
        assert next(taken).sample.sampled == 3


def test_a_picture_outlives_its_session(clip: Path) -> None:
    with DecoderSession(request(str(clip))) as session:
        first = next(message for message in session.messages(LIMIT_S) if isinstance(message, wire.SampleMessage))
    assert session.picture(first.sample.slot).std() > 0
    session.release(first.sample.slot)
    assert session.receive() is None


def test_where_memory_runs_out_the_kernel_kills_the_decoder(clip: Path) -> None:
    with DecoderSession(request(str(clip))) as session:
        score = Path(f"/proc/{session.pid}/oom_score_adj")
        eventually(lambda: score.read_text(encoding="ascii") == "1000\n", "it comes first")
    assert Path("/proc/self/oom_score_adj").read_text(encoding="ascii") != "1000\n"


def test_a_film_waits_for_the_network_and_a_camera_does_not(clip: Path) -> None:
    ours = psutil.Process().nice()
    for live, niceness in ((False, min(19, ours + FILM_NICENESS)), (True, ours)):
        with DecoderSession(replace(request(str(clip)), live=live)) as session:
            next(message for message in session.messages(LIMIT_S) if isinstance(message, wire.SampleMessage))
            assert psutil.Process(session.pid).nice() == niceness


def test_nothing_is_left_of_a_session() -> None:
    this = psutil.Process()
    with DecoderSession(request(), says_nothing):
        pass  # the fork server and its pipes are there from now on
    before = this.num_fds()
    sessions = [DecoderSession(request(), says_nothing) for _ in range(5)]
    for session in sessions:
        session.start()
    pids = [session.pid for session in sessions]
    for session in sessions:
        session.close()
    del session, sessions
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the processes are gone")
    with DecoderSession(request(), says_nothing):
        pass  # multiprocessing forgets a dead process when it starts the next one
    assert this.num_fds() <= before + 2


def test_no_decoder_has_the_pictures_of_another() -> None:
    """Each has memory of its own; the arrays of multiprocessing share one file among neighbours."""
    with DecoderSession(request(), says_nothing) as one, DecoderSession(request(), says_nothing) as other:
        one.picture(0)[:] = 7
        assert other.picture(0).sum() == 0
        files = []
        for session in (one, other):
            links = eventually(partial(memory_of, session.pid), "the process has its memory")
            files.append({link.stat().st_ino for link in links})
    assert files[0].isdisjoint(files[1])


def memory_of(pid: int) -> list[Path]:
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            found += [link] if "streamtag-slots" in str(link.readlink()) else []
    return found


@pytest.mark.parametrize("left", range(0, 26, 2))
def test_a_start_that_lacks_descriptors_leaks_none(left: int) -> None:
    """Of as many as are left, which end at another place of the start each time."""
    with DecoderSession(request(), says_nothing):
        pass  # what is opened once is open
    own = psutil.Process()
    gc.collect()  # what earlier tests left
    before = own.num_fds()
    session = DecoderSession(request(), says_nothing)
    with limited(resource.RLIMIT_NOFILE, first_free_descriptor(own.pid) + left, own.pid):
        try:
            session.start()
        except OSError as error:
            assert "no descriptors left (ulimit -n)" in cannot_start(error)  # noqa: PT017 - with many left it starts
    session.close()
    del session
    gc.collect()
    assert own.num_fds() == before


def test_a_decoder_starts_though_the_folder_of_this_process_was_deleted(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "release-1"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with DecoderSession(request(str(clip))) as session:
        assert isinstance(next(session.messages(LIMIT_S)), wire.Opened)


def test_decoders_start_though_somebody_tidied_the_folder_for_temporary_files(clip: Path) -> None:
    """As ``find /tmp -mtime +10 -delete`` does: no decoder started any more. Those that run go on."""
    with DecoderSession(request(str(clip))) as before:
        assert isinstance(next(before.messages(LIMIT_S)), wire.Opened)
        shutil.rmtree(get_temp_dir())
        with DecoderSession(request(str(clip))) as after:
            assert isinstance(next(after.messages(LIMIT_S)), wire.Opened)
        assert isinstance(next(before.messages(LIMIT_S)), wire.SampleMessage)
    with DecoderSession(request(str(clip))) as again:
        assert isinstance(next(again.messages(LIMIT_S)), wire.Opened)
