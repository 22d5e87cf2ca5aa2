"""What stands before every answer: whom the page is for, how often they may ask, and what a browser may do with it.

A page on 127.0.0.1 is within reach of every site that the browser's owner visits. A site can have its own name lead
here (DNS rebinding); then the browser takes our answers for that site's. Such a request names that site as its host, so
only hosts that nobody else can own are answered: addresses in numbers, localhost, and names that the settings have.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS_PER_S: Final = 50.0  # of one address
BURST: Final = 300.0
MAX_ADDRESSES: Final = 1000

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # data: small pictures come many in one answer
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # text from a job can never become markup
        "trusted-types 'none'",
    )
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An application that lets few requests through to another, and marks its answers.

    Args:
        hosts: names by which browsers may ask, beside localhost and addresses in numbers.
    """

    def __init__(self, inner: ASGIApp, hosts: Collection[str], now_s: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._allowance = Allowance(REQUESTS_PER_S, BURST, now_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._inner)(scope, receive, marked)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) != 1 or not is_ours(hosts[0], self._hosts):
            return PlainTextResponse(
                "This page is not served under that name. If it should be, name it in view.hosts.\n", 421
            )
        if not self._allowance.take(address_of(scope)):
            return PlainTextResponse("Too many requests; wait a moment.\n", 429, {"retry-after": "2"})
        return None


class Allowance:
    """How often each address may do something: so often a second, and some more at once.

    Args:
        per_s: in the long run.
        burst: at once.
    """

    def __init__(self, per_s: float, burst: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now_s = now_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by address, and when it was so

    def take(self, address: str) -> bool:
        """Whether it may once more."""
        now_s = self._now_s()
        left, at_s = self._left.pop(address, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        may = left >= 1
        self._left[address] = (left - 1 if may else left, now_s)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return may


def is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a ``Host`` header names us, with or without a port."""
    name, bracket, port = host.rpartition("]") if host.startswith("[") else ("", "", "")
    if bracket:
        name, port = name.removeprefix("["), port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower().removesuffix(".") in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def address_of(scope: Scope) -> str:
    """Who asks, by address; a proxy's own, where there is one."""
    client = scope.get("client")
    return client[0] if client else ""
