"""What asks a worker, an exporter or a notifier by HTTP, and what hangs up in the middle or never asks."""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import struct
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from streamtag.errors import ConfigError
from streamtag.pipeline import health, listening
from streamtag.pipeline.health import Health, HttpServer
from streamtag.settings import HttpSettings
from structlog.testing import capture_logs

from tests.support.waiting import eventually

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends a reset


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", registry: CollectorRegistry | None = None) -> Iterator[HttpServer]:
    server = HttpServer(HttpSettings(host=host, port=0), registry or CollectorRegistry(), Health(60.0))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def address(server: HttpServer) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/elsewhere"])
def test_who_asks_for_the_head_alone_gets_that_of_the_answer(path: str) -> None:
    """Load balancers and those who watch web servers do."""
    found = {}
    with serving() as server:
        for method in ("GET", "HEAD"):
            asked = http.client.HTTPConnection(*address(server), timeout=5)
            asked.request(method, path)
            answer = asked.getresponse()
            found[method] = (answer.status, answer.headers["Content-Type"], answer.headers["Content-Length"])
            body = answer.read()
            assert method == "GET" or body == b""
    assert found["GET"] == found["HEAD"]


def test_who_hangs_up_leaves_no_trace_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """As a port scan or a scrape that is late does; each left a traceback on standard error."""
    with serving() as server, capture_logs() as logged:
        for sent in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02"):
            with socket.create_connection(address(server), timeout=5) as scan:
                scan.sendall(sent)
                scan.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        assert urllib.request.urlopen(f"{server.url}/livez", timeout=5).status == 200
    assert capfd.readouterr() == ("", "")
    assert logged == []


def test_a_fault_of_ours_is_in_the_log_and_the_server_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(CollectorRegistry):
        def collect(self) -> Iterator[object]:  # type: ignore[override]
            raise RuntimeError("no figures")

    with serving(registry=Broken()) as server, capture_logs() as logged:
        with pytest.raises(http.client.RemoteDisconnected):
            urllib.request.urlopen(f"{server.url}/metrics", timeout=5)
        assert urllib.request.urlopen(f"{server.url}/livez", timeout=5).status == 200
    assert [(line["event"], str(line["exc_info"])) for line in logged] == [("a question by HTTP failed", "no figures")]
    assert capfd.readouterr() == ("", "")


def test_who_connects_and_never_asks_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each held a thread and a descriptor of the worker for good, as where the other machine is gone without a word."""
    monkeypatch.setattr(health, "ASK_S", 0.2)
    with serving() as server, socket.create_connection(address(server), timeout=5) as silent:
        assert silent.recv(1) == b"", "the server has closed it"


def test_those_who_never_ask_leave_descriptors_for_the_worker_and_room_for_others() -> None:
    """A thousand of them, and a worker reached Redis no more and could start no decoder."""
    with serving() as server, contextlib.ExitStack() as stack:
        before = descriptors()
        silent = [stack.enter_context(socket.create_connection(address(server), timeout=5)) for _ in range(200)]
        assert urllib.request.urlopen(f"{server.url}/livez", timeout=5).status == 200
        assert silent[0].recv(1) == b"", "the oldest were left"
        eventually(lambda: descriptors() - before - len(silent) <= health.MAX_ASKING, "their descriptors are free")


def descriptors() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_who_takes_nothing_of_what_is_sent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a one held its place among those who watch the page, and one of its few exports, for good."""
    monkeypatch.setattr(listening, "TAKE_S", 1)
    with listening.listen("http", "127.0.0.1", 0) as listens, socket.create_connection(listens.getsockname()):
        sent, _ = listens.accept()
        sent.settimeout(30)
        with sent, pytest.raises(TimeoutError) as left:
            sent.sendall(bytes(50_000_000))
    assert left.value.errno == errno.ETIMEDOUT, "by the kernel"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_listened_on_and_the_one_of_all_is_ipv4_too() -> None:
    with serving("::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert urllib.request.urlopen(f"{server.url}/livez", timeout=5).status == 200
    with serving("::") as server:
        for host in ("127.0.0.1", "[::1]"):
            asked = f"http://{host}:{address(server)[1]}/livez"
            assert urllib.request.urlopen(asked, timeout=5).status == 200


def test_what_cannot_be_listened_on_is_told_with_what_to_change() -> None:
    with serving() as server, pytest.raises(ConfigError, match=r"Address already in use; choose another http\.port"):
        HttpServer(HttpSettings(host="127.0.0.1", port=address(server)[1]), CollectorRegistry(), Health(60.0))
    for elsewhere in ("192.0.2.1", "2001:db8::1", "no-such-host.invalid"):
        with pytest.raises(ConfigError, match=r"is http\.host an address of this machine"):
            HttpServer(HttpSettings(host=elsewhere, port=0), CollectorRegistry(), Health(60.0))
