"""Serves the page: where its parts come together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streamtag import __version__
from streamtag.logs import log
from streamtag.pipeline.listening import listen, url
from streamtag.pipeline.signals import watch_signals
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.settings import Settings
from streamtag.view.answers import Answers
from streamtag.view.changes import Changes
from streamtag.view.connections import MAX_CONNECTIONS, AskingProtocol, log_faults
from streamtag.view.events import EventLog
from streamtag.view.files import PAGE, read_files
from streamtag.view.guard import Guard
from streamtag.view.poller import Poller
from streamtag.view.stories import Stories
from streamtag.view.thumbs import Thumbs
from streamtag.view.wall import Wall

STOP_S: Final = 3


class Page:
    """The page of one queue, on a port of its own.

    Raises:
        ConfigError: the port cannot be had.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        keys = Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
        self._connection = Connection(settings.redis, keys)
        self._thumbs, self._events = Thumbs(), EventLog()
        self._poller = Poller(self._connection, self._events, self._thumbs)
        self._socket = listen("view", settings.view.host, settings.view.port)
        may = settings.view.allow_changes
        about = {"version": __version__, "model": keys.model, "shard": keys.shard, "changes": may}
        self.wall = Wall(self._thumbs, self._poller.want, about, lambda: self._server.should_exit)
        self._files = read_files()
        self._asked = Connection(settings.redis, keys)  # for single streams, beside the one that looks at all
        changes = Changes(settings)
        stories = Stories(self._asked, self._events, settings.sampling)
        answers = Answers(settings, self._events, stories, self._poller.want)
        app = Starlette(
            routes=[
                Route("/api/live", self.wall.live),
                Route("/api/thumbs", self.wall.thumbs),
                Route("/api/stream", answers.stream),
                Route("/api/picture", answers.picture),
                Route("/api/search", answers.search),
                Route("/api/export", answers.export),
                Route("/api/submit", changes.submit, methods=["POST"]),
                Route("/api/cancel", changes.cancel, methods=["POST"]),
                Route("/api/requeue", changes.requeue, methods=["POST"]),
                Route("/static/{name}", self._file),
                *(Route(path, self._page) for path in ("/", "/search", "/stream/{job_id:path}")),
            ],
            lifespan=self._lifespan,
        )
        log_faults()
        self._server = _Server(
            uvicorn.Config(
                Guard(app, settings.view.hosts),
                http=AskingProtocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=STOP_S,
            )
        )

    @property
    def url(self) -> str:
        """Its address in a browser."""
        return url(self._socket)

    def run(self) -> None:
        """Serve until ``stop``."""
        self._server.run([self._socket])
        if self._poller.error is not None:
            raise self._poller.error

    def stop(self) -> None:
        """End soon. From any thread."""
        self._server.should_exit = True

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        self._poller.begin(
            lambda fleet: _call(loop, lambda: self.wall.see(fleet)),
            lambda text: _call(loop, lambda: self.wall.tell_trouble(text)),
            self.stop,
        )
        yield
        self._poller.stop()
        self._connection.close()
        self._asked.close()

    async def _page(self, request: Request) -> Response:
        return self._files[PAGE].answer(request)

    async def _file(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        return file.answer(request) if file else PlainTextResponse("Not here.\n", 404)


class _Server(uvicorn.Server):
    """Ends when it is told to, and leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Raises:
        ConfigError: the port cannot be had.
    """
    page = Page(settings)
    watch_signals(lambda _number: page.stop())
    log.info("ready", page=page.url, model=settings.model.name)
    page.run()


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    # The loop may be closed by now: the server stops while Redis is asked.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(act)
