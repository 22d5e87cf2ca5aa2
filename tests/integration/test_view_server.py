"""The page's server as others see it: whom it answers, with what, and how much it keeps for whom."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from streamtag.cli.view import page_beside
from streamtag.client import Client
from streamtag.errors import ConfigError
from streamtag.extras import NEEDS, Package
from streamtag.settings import Settings
from streamtag.view import connections
from streamtag.view.connections import MAX_CONNECTIONS
from streamtag.view.server import Page
from structlog.testing import capture_logs

from tests.support import RedisServer, eventually, settings_for
from tests.support.page import Told, ask, running
from tests.support.planted import Planted, Plot, fleet, picture

SECRET = "hunter2"


@pytest.fixture(scope="module")
def settings(redis_server: RedisServer) -> Settings:
    return settings_for(redis_server, view__port=0, view__hosts=["wall.lan"])


@pytest.fixture(scope="module")
def plot(settings: Settings, redis_server: RedisServer) -> Plot:
    return Plot(settings, redis_server.client())


@pytest.fixture(scope="module")
def page(settings: Settings) -> Iterator[Page]:
    with running(settings) as page:
        yield page


def test_every_answer_forbids_what_a_page_of_ours_does_not_need(page: Page) -> None:
    for path in ("/", "/static/main.js", "/static/no.js", "/api/thumbs?of=1", "/no/such"):
        answer = ask(page, path)
        policy = answer.getheader("content-security-policy") or ""
        assert "default-src 'none'" in policy, path
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("referrer-policy") == "no-referrer"
        assert answer.getheader("access-control-allow-origin") is None


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "wall.lan.evil"])
def test_a_site_that_leads_its_own_name_here_is_not_answered(page: Page, host: str) -> None:
    for path in ("/", "/api/live", "/api/thumbs?of=1"):
        answer = ask(page, path, Host=host)
        assert answer.status == 421
        assert b"view.hosts" in answer.read()


@pytest.mark.parametrize("host", ["localhost:9180", "10.0.0.7", "wall.lan"])
def test_names_that_are_ours_are(page: Page, host: str) -> None:
    assert ask(page, "/", Host=host).status == 200


def test_a_file_that_a_browser_has_is_not_sent_again(page: Page) -> None:
    first = ask(page, "/static/page.css")
    assert len(first.read()) > 1000
    again = ask(page, "/static/page.css", If_None_Match=first.getheader("etag") or "")
    assert (again.status, again.read()) == (304, b"")
    assert ask(page, "/static/..%2fserver.py").status == 404


def test_who_watches_is_told_everything_then_what_changes_and_no_credential(page: Page, plot: Plot) -> None:
    with Client(settings=page.settings) as client:
        client.submit(f"rtsp://admin:{SECRET}@cam.lan/1?token={SECRET}", job_id="secret", stream="gate")
    plot.plant(Planted("a"))
    plot.worker()
    told = Told(page)
    told.know("a", "secret")
    plot.plant(Planted("a", state="frozen"))
    eventually(lambda: told.next() and told.jobs["a"]["state"] == "frozen", "the change")
    assert "cam.lan" in told.text
    assert SECRET not in told.text


def test_pictures_come_together_and_only_those_that_the_browser_lacks(page: Page, plot: Plot) -> None:
    plot.plant(Planted("pictured", thumb=picture(3)), Planted("bare"))
    told = Told(page)
    told.know("pictured", "bare")
    n, bare = told.jobs["pictured"]["n"], told.jobs["bare"]["n"]

    def thumbs(of: str) -> dict[str, list[str]]:
        content: dict[str, list[str]] = json.loads(ask(page, f"/api/thumbs?of={of}").read())
        return content

    version, jpeg = eventually(lambda: thumbs(f"{n}@,{bare}@,99999@,x,"), "the picture")[str(n)]
    assert jpeg.startswith("/9j/")
    assert thumbs(f"{n}@{version}") == {}


def test_who_asks_too_often_waits(settings: Settings) -> None:
    with running(settings) as page:
        host, _, port = page.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        codes = []
        for _ in range(2000):
            connection.request("GET", "/static/icon.svg")
            answer = connection.getresponse()
            answer.read()
            codes.append(answer.status)
            if answer.status != 200:
                break
    assert codes[-1] == 429
    assert len(codes) > 100


def test_those_who_connect_and_say_nothing_keep_nobody_out(settings: Settings, plot: Plot) -> None:
    with running(settings) as page:
        told = Told(page)
        plot.plant(Planted("still-told"))
        told.know("still-told")
        silent = [_connected(page) for _ in range(MAX_CONNECTIONS + 50)]
        for slow in silent[::2]:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")  # and no more
        assert ask(page, "/").status == 200
        plot.plant(Planted("still-told", state="frozen"))
        eventually(
            lambda: told.next() and told.jobs["still-told"]["state"] == "frozen", "who watched before still does"
        )
        for one in silent:
            one.close()


def test_a_request_comes_whole_within_a_time_and_its_answer_may_take_longer(
    settings: Settings, plot: Plot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ASK_S", 1.0)
    with running(settings) as page:
        told = Told(page)
        begun = {
            "silent": b"",
            "slow": b"GET / HTTP/1.1\r\nHost: loc",
            "kept": b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "posting": b"POST /api/submit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        }
        for said in begun.values():
            with _connected(page) as one:
                one.sendall(said)
                while one.recv(65536):  # fails after 30 s
                    pass
        plot.plant(Planted("later"))
        told.know("later")  # by who listens for longer than that


def test_what_strangers_ask_wrongly_is_not_in_the_log_and_a_fault_of_ours_is(
    page: Page, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(number: int) -> str:
        raise RuntimeError("no figures")

    monkeypatch.setattr(page.wall.feed, "job_id", broken)
    with capture_logs() as logged:
        for said in (b"garbage", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket"):
            with _connected(page) as one:
                one.sendall(said + b"\r\n\r\n")
                assert one.recv(65536)
        assert logged == []
        assert ask(page, "/api/thumbs?of=1@").status == 500
        eventually(lambda: logged, "what failed")
    assert [(line["event"], str(line["exc_info"])) for line in logged] == [
        ("an answer of the page failed", "no figures")
    ]
    assert capfd.readouterr() == ("", "")


def _connected(page: Page) -> socket.socket:
    host, _, port = page.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.mark.long
def test_one_who_does_not_read_costs_little_and_holds_nobody_up(page: Page, plot: Plot) -> None:
    streams = fleet(300)
    plot.plant(*streams)
    slow = socket.create_connection(tuple(page.url.removeprefix("http://").split(":")), timeout=30)  # type: ignore[arg-type]
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    told = Told(page)
    told.know(*(stream.job_id for stream in streams))
    for turn in range(4):
        for stream in streams:
            stream.published += 1
            stream.labels = {f"{'label ' * 20}{turn}": 0.5}
        plot.plant(*streams)
        eventually(told.next, "the others hear of it")
    assert max(viewer.waiting_bytes for viewer in page.wall.hub.viewers) < 2 * 1024**2
    slow.close()
    plot.client.delete(*[plot.keys.job(stream.job_id) for stream in streams])


def test_beside_the_demo_it_is_served_for_as_long_as_that_lasts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with page_beside(settings) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    monkeypatch.setitem(NEEDS, "view", (Package("no_such_module", "no-such-module", "view"),))
    with page_beside(settings) as url:
        assert url == ""


def test_a_port_that_is_taken_is_named(page: Page, settings: Settings) -> None:
    port = int(page.url.rpartition(":")[2])
    taken = settings.model_copy(update={"view": settings.view.model_copy(update={"port": port})})
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}.*another view.port"):
        Page(taken)
    away = settings.model_copy(update={"view": settings.view.model_copy(update={"host": "192.0.2.1"})})
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1.*is view\.host an address of this machine"):
        Page(away)
