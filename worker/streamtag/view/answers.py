"""The answers of a stream's own page and of the search: JSON, pictures, and exports as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from streamtag.client import Client
from streamtag.errors import ConfigError, JobNotFound, StreamtagError
from streamtag.redaction import redact
from streamtag.settings import Settings
from streamtag.tools.exporting.formats import Exported, ExportFormat, export
from streamtag.view.events import KEPT, EventLog, Told
from streamtag.view.stories import Stories

MAX_FOUND: Final = 200
MAX_EXPORTS: Final = 4  # at once
PIECE_BYTES: Final = 64 * 1024
KINDS: Final = ("enter", "exit", "gap", "state", "status", "frame_failed")
_NO_STORE: Final = {"cache-control": "no-store"}


class Answers:
    """What is answered about single streams, and about the past.

    Args:
        want: called for each sign that somebody watches.
    """

    def __init__(self, settings: Settings, events: EventLog, stories: Stories, want: Callable[[], None]) -> None:
        self._settings = settings
        self._events = events
        self._stories = stories
        self._want = want
        self._exports = 0

    async def stream(self, request: Request) -> Response:
        """``/api/stream?id=JOB``: history, events and pictures of one stream."""
        self._want()
        try:
            content = await run_in_threadpool(self._stories.tell, request.query_params.get("id", ""))
        except StreamtagError as error:
            return refused(error)
        return as_json(content)

    async def picture(self, request: Request) -> Response:
        """``/api/picture?id=JOB&entry=ID``: a picture of a stream that is looked at."""
        jpeg = self._stories.picture(request.query_params.get("id", ""), request.query_params.get("entry", ""))
        if jpeg is None:
            return PlainTextResponse("That picture is no longer kept.\n", 404)
        # Its id never names another one.
        return Response(jpeg, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600, immutable"})

    async def search(self, request: Request) -> Response:
        """``/api/search?label=…&stream=…&kind=…&from=…&to=…&before=ID``: events, newest first.

        With ``format=jsonl`` all of them, as a file.
        """
        self._want()
        query = request.query_params
        fits = _wanted(query.get("label", ""), query.get("stream", ""), query.get("kind", ""), *_times(query))
        if query.get("format") == "jsonl":
            every = await run_in_threadpool(self._events.newest, fits, KEPT)
            lines = (orjson.dumps(event) + b"\n" for event in every)
            named = {"content-disposition": 'attachment; filename="events.jsonl"'}
            return StreamingResponse(_joined(lines), media_type="application/x-ndjson", headers=_NO_STORE | named)
        found = await run_in_threadpool(self._events.newest, fits, MAX_FOUND + 1, query.get("before", ""))
        return as_json(
            {
                "events": found[:MAX_FOUND],
                "more": len(found) > MAX_FOUND,
                "whole": self._events.is_whole,
            }
        )

    async def export(self, request: Request) -> Response:
        """``/api/export?id=JOB&format=csv``: the results of a job as a file."""
        if self._exports >= MAX_EXPORTS:
            text = f"{MAX_EXPORTS} exports are written already; try again when one is done.\n"
            return PlainTextResponse(text, 503, {"retry-after": "10"})
        self._exports += 1  # from now on, since Redis may be long in answering
        try:
            return await self._exported(request.query_params)
        except BaseException as error:
            self._done()
            if isinstance(error, StreamtagError):
                return refused(error)
            raise

    async def _exported(self, query: QueryParams) -> Response:
        job_id = query.get("id", "")
        try:
            format_ = ExportFormat(query.get("format", "jsonl"))
        except ValueError:
            raise ConfigError(f"There is no such format; there are {', '.join(ExportFormat)}.") from None
        pieces = await run_in_threadpool(self._begun, job_id, format_)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", job_id)[:100]
        return _Export(
            self._done,
            pieces,
            media_type=format_.media_type,
            headers=_NO_STORE | {"content-disposition": f'attachment; filename="{name}.{format_}"'},
        )

    def _begun(self, job_id: str, format_: ExportFormat) -> Iterator[bytes]:
        client = Client(settings=self._settings)
        try:
            view, job = client.status(job_id), client.job(job_id)
            if view.counters.published and not client.newest_results(job_id, 1):
                raise JobNotFound(f"{job_id}: no result of it is stored any more; they go redis.expire_s after its end")
            step_s = self._settings.sampling.step_s(job.sampling, job.is_live)
            about = Exported(view, self._settings.smoothing.reset_gap_s, step_s)
            pieces = export(client.results(job_id), format_, about)
        except BaseException:
            client.close()
            raise
        return _joined(pieces, client.close)

    def _done(self) -> None:
        self._exports -= 1


class _Export(StreamingResponse):
    """An answer that is counted until it is over, however it ends."""

    def __init__(self, done: Callable[[], None], *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._done = done

    async def __call__(self, *given: Any) -> None:
        """Send it."""
        try:
            await super().__call__(*given)
        finally:
            self._done()


def as_json(content: object) -> Response:
    """An answer that no cache keeps."""
    return Response(orjson.dumps(content), media_type="application/json", headers=_NO_STORE)


def refused(error: StreamtagError) -> Response:
    """An answer that says what is wrong."""
    code = 404 if isinstance(error, JobNotFound) else 400 if isinstance(error, ConfigError) else 503
    return PlainTextResponse(f"{redact(str(error))}\n", code, _NO_STORE)


def _joined(pieces: Iterable[bytes], done: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """Pieces large enough to be worth a step of the event loop each."""
    waiting: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= PIECE_BYTES:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)
    finally:
        done()


def _times(query: Any) -> tuple[float, float]:
    return _unix_s(query.get("from", ""), 0.0), _unix_s(query.get("to", ""), float("inf"))


def _unix_s(text: str, default: float) -> float:
    try:
        return float(text) if len(text) < 20 else default
    except ValueError:
        return default


def _wanted(label: str, stream: str, kind: str, from_s: float, to_s: float) -> Callable[[Told], bool]:
    label, stream = _plain(label), stream.strip().lower()[:200]
    kinds = (kind,) if kind in KINDS else ("enter",)

    def fits(event: Told) -> bool:
        if event["kind"] not in kinds or not from_s <= event["at"] <= to_s:
            return False
        if stream and stream not in f"{event['stream']}\n{event['job']}".lower():
            return False
        return not label or label in _plain(event["label"])

    return fits


def _plain(name: str) -> str:
    """Networks write water_bottle and people water bottle."""
    return name.strip().lower().replace("_", " ")[:200]
