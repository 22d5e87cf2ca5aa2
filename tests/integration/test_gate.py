"""Where a source may lead: playlists, keys, redirects and names that point to what is forbidden reach nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.job import Sampling
from streamtag.core.records import JobStatus
from streamtag.core.stream_state import OutcomeKind
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest import gate_server
from streamtag.ingest.destinations import Endpoint
from streamtag.ingest.gate import GateClient, gate_for
from streamtag.ingest.gate_server import GateServer
from streamtag.ingest.policy import AuthFailed
from streamtag.ingest.session import forkserver
from streamtag.ingest.stream import Stream
from streamtag.ingest.web import WebSource, find
from streamtag.settings import Settings, SourceSettings

from tests.support import NULL, RedisServer, Worker, eventually, start_worker
from tests.support.hls import write_hls
from tests.support.stream_reading import Heard, read
from tests.support.traps import Trap
from tests.support.web import WebServer, served

ONLY_HERE = SourceSettings(networks=["127.0.0.1/32"], backoff_s=0.05, attempts=2, open_timeout_s=5, read_timeout_s=5)
EACH = Sampling(every=25)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    with served(tmp_path / "web") as server:
        yield server


@pytest.fixture
def trap() -> Iterator[Trap]:
    """A server on an address that ``ONLY_HERE`` does not allow."""
    with Trap("127.0.0.2") as found:
        yield found


def refused(source: str, settings: SourceSettings = ONLY_HERE) -> str:
    found = read(source, EACH, settings)
    assert found.outcome is not None
    assert found.outcome.kind is OutcomeKind.REJECTED, found.outcome
    return found.outcome.reason


@pytest.mark.parametrize("kind", ["ts", "fmp4", "encrypted"])
def test_a_finished_playlist_is_a_finite_source(web: WebServer, kind: str) -> None:
    key_url = f"{web.url}/key.bin" if kind == "encrypted" else ""
    write_hls(web.folder, 3.0, fmp4=kind == "fmp4", key_url=key_url)
    found = read(f"{web.url}/index.m3u8", EACH, ONLY_HERE)
    assert found.outcome is not None
    assert (found.outcome.kind, found.outcome.decoded, len(found.samples)) == (OutcomeKind.ENDED, 75, 3)
    assert found.outcome.reason == ""


def test_no_part_of_a_playlist_is_fetched_from_where_jobs_may_not(web: WebServer, trap: Trap) -> None:
    """Segments, the last segment, keys, maps, variants, by address and by redirect."""
    write_hls(web.folder / "plain", 3.0)
    write_hls(web.folder / "mapped", 3.0, fmp4=True)
    write_hls(web.folder / "locked", 3.0, key_url=f"http://{trap.address}/key.bin")
    plain = (web.folder / "plain/index.m3u8").read_text()
    mapped = (web.folder / "mapped/index.m3u8").read_text()
    evil = {
        "plain/all.m3u8": plain.replace("index", f"http://{trap.address}/index"),
        "plain/last.m3u8": plain.replace("index2.ts", f"http://{trap.address}/index2.ts"),
        "plain/redirect.m3u8": plain.replace("index1.ts", f"/to/http://{trap.address}/index1.ts"),
        "plain/tls.m3u8": plain.replace("index1.ts", f"https://{trap.address}/index1.ts"),
        "mapped/map.m3u8": mapped.replace("init.mp4", f"http://{trap.address}/init.mp4"),
        "master.m3u8": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{trap.address}/index.m3u8\n",
    }
    for name, text in evil.items():
        (web.folder / name).write_text(text)
    for name in (*evil, "locked/index.m3u8"):
        assert "127.0.0.2 is not in source.networks" in refused(f"{web.url}/{name}"), name
    assert trap.heard == []


def test_no_redirect_and_no_name_leads_to_where_jobs_may_not(web: WebServer, trap: Trap) -> None:
    port = trap.address.rpartition(":")[2]
    for target in (f"http://{trap.address}/a.mp4", f"http://2130706434:{port}/", f"http://[::ffff:127.0.0.2]:{port}/"):
        for source in (target, f"{web.url}/to/{target}"):
            assert "is not in source.networks" in refused(source), source
    assert "scheme" in refused(f"{web.url}/to/file:///etc/passwd")
    assert "more than 5 redirects" in refused(f"{web.url}" + "/to/" * 9 + "/a.mp4")
    assert trap.heard == []


def find_through_gate(url: str, settings: SourceSettings) -> WebSource:
    with gate_for(url, settings, forkserver()) as port:
        return find(url, settings, GateClient(port, url))


def test_an_answer_of_the_server_says_whether_to_try_again(web: WebServer) -> None:
    (web.folder / "a.txt").write_text("hello")
    found = find_through_gate(f"{web.url}/to//to//a.txt", ONLY_HERE)
    assert (found.url, found.first, found.length, found.ranges) == (f"{web.url}/a.txt", b"hello", 5, True)
    with pytest.raises(RejectJob, match="404"):
        find_through_gate(f"{web.url}/404", ONLY_HERE)
    with pytest.raises(RetryJob, match="503"):
        find_through_gate(f"{web.url}/503", ONLY_HERE)
    with pytest.raises(AuthFailed, match="user and password"):
        find_through_gate(f"{web.url}/401", ONLY_HERE)
    with pytest.raises(RetryJob, match=r"127\.0\.0\.1:9 cannot be reached: Connection refused$"):
        find_through_gate("http://127.0.0.1:9/x", ONLY_HERE)
    with pytest.raises(RejectJob, match=r"source\.schemes"):
        find_through_gate(web.url, ONLY_HERE.model_copy(update={"schemes": ["https"]}))


def test_a_name_that_cannot_be_resolved_may_be_so_later_and_shows_no_password() -> None:
    with pytest.raises(RetryJob, match=r"cannot be resolved: [^\[\]]+$") as caught:
        find_through_gate("http://user:hunter2@no-such-host.invalid/cam", ONLY_HERE)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "rtsp://169.254.1.1/cam",
        "http://[fe80::1]/x",
        "http://[::ffff:169.254.169.254]/x",
        "http://100.100.100.200/x",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://[fd20:ce::254]/x",
        "http://[64:ff9b::169.254.169.254]/x",
    ],
)
def test_metadata_addresses_are_refused_unless_named(url: str) -> None:
    assert "link-local or metadata" in refused(url, SourceSettings(backoff_s=0.05, attempts=1))


def test_redis_is_never_a_source_under_whatever_name(
    redis_server: RedisServer, settings: Settings, client: Client, workers: list[Worker], web: WebServer
) -> None:
    """Our Redis answers a request line with an error, and its password may be guessed by one that comes from inside."""
    start_worker(workers, settings, *NULL, "source.backoff_s=0.05", "source.attempts=1", "source.open_timeout_s=5")
    write_hls(web.folder, 2.0)
    playlist = (web.folder / "index.m3u8").read_text()
    sources = []
    for number, host in enumerate(("127.0.0.1", "localhost", "0.0.0.0", "127.8.8.8", "[::ffff:127.0.0.1]")):
        address = f"{host}:{redis_server.port}"
        (web.folder / f"{number}.m3u8").write_text(playlist.replace("index1", f"http://{address}/index1"))
        sources += [f"http://{address}/a.mp4", f"rtsp://{address}/a", f"{web.url}/{number}.m3u8"]
    with redis_server.client() as direct:
        first = client.submit("/nowhere.mp4").job_id
        eventually(partial(_has_failed, client, first), "all of the worker's connections have been used")
        before = direct.info("stats")["total_connections_received"]
        jobs = [client.submit(source).job_id for source in sources]
        for job in jobs:
            eventually(partial(_has_failed, client, job), "it fails")
            assert "Redis itself" in client.status(job).reason
        assert direct.info("stats")["total_connections_received"] == before


def _has_failed(client: Client, job_id: str) -> bool:
    return client.status(job_id).status is JobStatus.FAILED


def test_a_name_is_resolved_once_and_connected_to_as_checked(
    web: WebServer, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that first gives an allowed address and then another one (rebinding) gains nothing."""
    (web.folder / "a.txt").write_text("hello")
    here = ("127.0.0.1", int(web.url.rpartition(":")[2]))
    there = ("127.0.0.2", int(trap.address.rpartition(":")[2]))
    answers = [[Endpoint(socket.AF_INET, here)], [Endpoint(socket.AF_INET, there)]]
    monkeypatch.setattr(gate_server, "resolve", lambda host, port: answers.pop(0))

    async def ask(times: int) -> list[bytes]:
        listener = socket.create_server(("127.0.0.1", 0))
        ours, theirs = socket.socketpair()
        serving = asyncio.ensure_future(GateServer("http://rebind.test/", ONLY_HERE).serve(listener, theirs))
        replies = []
        for _ in range(times):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET http://rebind.test/a.txt HTTP/1.1\r\nHost: rebind.test\r\n\r\n")
            replies.append(await reader.read())
            writer.close()
        ours.close()
        await serving
        return replies

    first, second = asyncio.run(ask(2))
    assert first.endswith(b"hello")
    assert second.startswith(b"HTTP/1.1 403")
    assert trap.heard == []


_OPENS_A_GATE = """
import sys, time
from streamtag.ingest.gate import Gate
from streamtag.ingest.session import forkserver
from streamtag.settings import SourceSettings

gate = Gate(sys.argv[1], SourceSettings(), forkserver())
gate.start()
print(gate.port, flush=True)
time.sleep(300)
"""


def test_a_gate_goes_without_a_word_with_a_parent_that_was_killed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        parent = subprocess.Popen(
            [sys.executable, "-c", _OPENS_A_GATE, f"rtsp://{address}/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert parent.stdout is not None
            port = int(parent.stdout.readline())
            eventually(lambda: _listens(port), "the gate serves")
            with socket.create_connection(("127.0.0.1", port)) as waiting:
                waiting.sendall(f"OPTIONS rtsp://{address}/ RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
                with silent.accept()[0] as reached:
                    reached.recv(1)  # a connection is open all the way
                    parent.kill()
                    eventually(lambda: not _listens(port), "the gate is gone, too")
        finally:
            parent.kill()
        assert parent.communicate(timeout=30)[1] == ""


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_source_that_takes_connections_and_says_nothing_is_told_as_such(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x"
        settings = SourceSettings(open_timeout_s=1, read_timeout_s=1, attempts=1, backoff_s=0.05)
        found = read(source, EACH, settings, live=False)
    assert found.outcome is not None
    assert "no answer" in found.outcome.reason


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


_FOUND = b"RTSP/1.0 302 Found\r\nCSeq: {seq}\r\nLocation: rtsp://{trap}/cam\r\n\r\n"
_OK = b"RTSP/1.0 200 OK\r\nCSeq: {seq}\r\nPublic: DESCRIBE\r\n\r\n"


@pytest.mark.parametrize(
    "first",
    [
        _FOUND,
        _FOUND.replace(b"302 Found", b"301 Moved"),
        _OK + _FOUND,
        _FOUND.replace(b"\r\n", b"\n"),
        _OK.replace(b"\r\n", b"\n") + _FOUND,
        b"$\0\0\4abcd" + _FOUND,
        b"\r\n" + _FOUND,
        _FOUND.replace(b"RTSP/1.0 302", b"RTSP/1.0  302"),
        _FOUND.replace(b"RTSP/1.0 302", b" RTSP/1.0\t302"),
        _FOUND.replace(b" 302 ", b" \r302 "),
        _FOUND.replace(b" 302 ", b" 00302 "),
        _OK.replace(b"CSeq", b"$\0\0\x20CSeq").replace(b"\r\n\r\n", b"\r\nContent-Length: 40\r\n\r\n") + _FOUND,
        _OK.replace(b"\r\n\r\n", b"\r\nContent-Length: -1\r\n\r\n") + _FOUND,
    ],
)
def test_a_redirect_of_an_rtsp_server_is_not_followed(trap: Trap, first: bytes) -> None:
    """FFmpeg follows one; the relay must see it however it is written."""

    def redirect(connection: socket.socket) -> None:
        for seq in range(1, 6):
            if not connection.recv(4096):
                return
            connection.sendall(first.replace(b"{seq}", str(seq).encode()).replace(b"{trap}", trap.address.encode()))

    def stop_at_the_second_try(stream: Stream, heard: Heard) -> None:
        if len(heard.details) > 1:
            stream.stop()

    with Trap("127.0.0.1", redirect) as server:
        found = read(f"rtsp://{server.address}/cam", EACH, ONLY_HERE, meddle=stop_at_the_second_try)
    assert found.samples == []
    assert trap.heard == []
