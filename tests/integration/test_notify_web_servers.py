"""Webhooks whose address is written in an odd way, and web servers that do not say what a server should."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from streamtag.notify_settings import WebhookSink
from streamtag.tools.notify.notice import Notice, Unreachable
from streamtag.tools.notify.webhook import Webhook

from tests.support.webhook_receiver import WebhookReceiver

NOTICE = Notice("7-1", {"kind": "enter", "stream": "gate", "label": {"name": "dog"}})
TIMEOUT_S = 1.5


def hook(url: str) -> Webhook:
    return Webhook(WebhookSink.model_validate({"name": "hook", "kind": "webhook", "url": url}), TIMEOUT_S)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of one that takes a request, and answers it with whatever a test has it send."""

    def serve() -> None:
        with suppress(OSError):  # the client hung up, as it should
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(20)


def until_it_hangs_up(*parts: bytes) -> Callable[[socket.socket], None]:
    """Each part once, then the last one again and again."""

    def answer(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        while True:
            connection.sendall(parts[-1])
            time.sleep(0.05)

    return answer


def in_silence(connection: socket.socket) -> None:
    while connection.recv(65536):  # the rest of the request, and the end
        pass


@pytest.mark.parametrize(
    "answer",
    [in_silence, until_it_hangs_up(b"HTTP/1.1 2", b"0"), until_it_hangs_up(b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["silence", "a status without an end", "a promise for ever"],
)
def test_a_server_that_is_too_slow_is_left_in_time_and_called_slow(answer: Callable[[socket.socket], None]) -> None:
    """It was said to have hung up, which was us."""
    began_s = time.monotonic()
    with server(answer) as url, pytest.raises(Unreachable, match=r"^no answer within 1\.5 s$"):
        hook(url).send(NOTICE)
    assert time.monotonic() - began_s < TIMEOUT_S + 3


def test_an_answer_without_an_end_is_not_waited_for() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server(until_it_hangs_up(head, b"5\r\nhello\r\n" * 1000)) as url:
        hook(url).send(NOTICE)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/grüße?an=Jörg", "/gr%C3%BC%C3%9Fe?an=J%C3%B6rg"),
        ("/a b", "/a%20b"),
        ("/a%20b?c=%C3%BC&d", "/a%20b?c=%C3%BC&d"),
    ],
)
def test_an_address_is_asked_for_as_a_browser_would(path: str, asked: str) -> None:
    """Each event of the first became a dead letter at once; of the second the log told the address."""
    with WebhookReceiver() as receiver:
        hook(f"{receiver.url}{path}").send(NOTICE)
        assert [told.path for told in receiver.told] == [asked]


@pytest.mark.parametrize("address", ["http://[::1]/", "https://[::abcd]/"])
def test_the_end_of_an_ipv6_address_is_no_port(address: str) -> None:
    with pytest.raises(Unreachable) as refused:
        hook(address).send(NOTICE)
    assert "port" not in str(refused.value)
    assert "not known" not in str(refused.value)
