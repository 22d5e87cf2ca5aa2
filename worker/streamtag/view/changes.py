"""What may be changed on the page: jobs submitted, cancelled, queued again. By who has the token, where it is allowed.

A browser sends what other sites make it send. So a change needs what no form and no link of another site can carry: a
header of its own, and JSON. What browsers say of where a request comes from is believed on top, never instead.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from streamtag.client import Client
from streamtag.core.job import explain
from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import ConfigError, JobConflict, JobNotFound, QueueUnavailable, StreamtagError
from streamtag.logs import log
from streamtag.redaction import redact
from streamtag.settings import Settings
from streamtag.view.answers import as_json
from streamtag.view.guard import Allowance, address_of

MAX_BODY: Final = 16 * 1024
WRONG_TOKENS_PER_S: Final = 0.1  # of one address
WRONG_TOKENS: Final = 10.0  # at once
TOKEN_HEADER: Final = "x-streamtag-token"
_MESSAGES: Final = {403: "Nothing can be changed on this page (view.allow_changes).", 415: "Send application/json."}

Text = Annotated[str, Field(max_length=4096)]


class _Wish(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Submit(_Wish):
    """A job that is wished for."""

    source: Text
    stream: Text = ""
    fps: float | None = None


class OfJob(_Wish):
    """A job that something is to be done with."""

    id: Text
    source: Text = ""


class Refusal(Exception):
    """A change that is not made, and the code that says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Changes:
    """Makes them, over a client of its own for each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wrong = Allowance(WRONG_TOKENS_PER_S, WRONG_TOKENS)

    async def submit(self, request: Request) -> Response:
        """``POST /api/submit``: a new job."""
        return await self._answer(request, Submit, _submit)

    async def cancel(self, request: Request) -> Response:
        """``POST /api/cancel``: the end of a job."""
        return await self._answer(request, OfJob, _cancel)

    async def requeue(self, request: Request) -> Response:
        """``POST /api/requeue``: a dead letter becomes a job again."""
        return await self._answer(request, OfJob, _requeue)

    async def _answer(self, request: Request, kind: type[_Wish], act: Callable[[Client, Any], str]) -> Response:
        try:
            self._let_in(request)
            wish = _read(kind, await _body(request))
            text = await run_in_threadpool(self._made, act, wish)
        except Refusal as refusal:
            return PlainTextResponse(f"{refusal}\n", refusal.code)
        except ValidationError as error:
            return PlainTextResponse(f"{redact(explain(error))}\n", 400)
        except StreamtagError as error:
            return PlainTextResponse(f"{redact(str(error))}\n", _code(error))
        log.info("changed on the page", what=request.url.path, job=text, by=address_of(request.scope))
        return as_json({"said": text})

    def _let_in(self, request: Request) -> None:
        view = self._settings.view
        if not view.allow_changes:
            raise Refusal(403, _MESSAGES[403])
        if not is_same_site(request.headers):
            raise Refusal(403, "That request comes from another site.")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, _MESSAGES[415])
        given = request.headers.get(TOKEN_HEADER, "").encode()
        if not hmac.compare_digest(given, view.token.get_secret_value().encode()):
            if not self._wrong.take(address_of(request.scope)):
                raise Refusal(429, "Too many wrong tokens; wait a minute.")
            raise Refusal(403, "That is not the token (view.token).")

    def _made(self, act: Callable[[Client, Any], str], wish: _Wish) -> str:
        with Client(settings=self._settings) as client:
            return act(client, wish)


def is_same_site(headers: Any) -> bool:
    """Whether a request comes from a page of this server, or from no page at all, as a script's does."""
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise Refusal(413, f"That is more than {MAX_BODY} bytes.")
        parts.append(part)
    return b"".join(parts)


def _read(kind: type[_Wish], body: bytes) -> _Wish:
    return kind.model_validate_json(body)


def _submit(client: Client, wish: Submit) -> str:
    source = wish.source.strip()
    if "://" not in source and source_kind(source) is not SourceKind.CAMERA and not Path(source).is_absolute():
        raise ConfigError("name the whole path of a file, as a worker sees it, an address, or camera:0")
    return client.submit(source, stream=wish.stream.strip(), fps=wish.fps).job_id


def _cancel(client: Client, wish: OfJob) -> str:
    return f"{wish.id}: {client.cancel(wish.id)}"


def _requeue(client: Client, wish: OfJob) -> str:
    letters = [letter for letter in client.dead_letters() if letter.job_id == wish.id]
    if not letters:
        raise JobNotFound(f"no dead letter of {wish.id!r}")
    client.requeue(letters[-1], wish.source)
    return f"{wish.id}: queued"


def _code(error: StreamtagError) -> int:
    if isinstance(error, QueueUnavailable):
        return 503
    if isinstance(error, JobNotFound):
        return 404
    return 409 if isinstance(error, JobConflict) else 400
