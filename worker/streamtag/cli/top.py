"""``streamtag top``: the wall in a terminal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.live import Live

from streamtag.cli.common import (
    OUTPUT,
    Config,
    Json,
    Model,
    Overrides,
    can_draw,
    end_on_sigterm,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.keyboard import Keyboard
from streamtag.cli.top_screen import Screen
from streamtag.errors import AccessDenied, ConfigError, QueueUnavailable
from streamtag.queue.connection import Connection
from streamtag.queue.fleet import FleetNow, FleetReader
from streamtag.queue.keys import Keys
from streamtag.redaction import printable
from streamtag.settings import Settings
from streamtag.tools.top_table import Order, fleet_figures

PERIOD_S = 1.0
NOTICE_S = 0.25  # in which a new look or another size of the terminal is noticed


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print the table once and leave.", rich_help_panel=OUTPUT)
    ] = False,
    order: Annotated[
        Order, typer.Option("--sort", help="What the table is sorted by; the key s changes it.")
    ] = Order.STATE,
    words: Annotated[
        str, typer.Option("--filter", help="Words in name, id, state, labels or worker; the key / changes them.")
    ] = "",
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Watch the streams of a queue: state, labels, rate, lag and worker of each, those in trouble first.

    Keys: q quit, s sort, S the other way round, / filter, a what is over, arrows move. `score` is that of the best
    label over the last twenty looks, `rate` samples a second, `last` the age of the last sample.
    """
    if not (once or json or can_draw(out)):
        raise ConfigError("top draws on a terminal; into a pipe or file, or with TERM=dumb, use --once or --json")
    end_on_sigterm()
    settings = settings_from(config, model, None, overrides)
    screen = Screen(order, words=words)
    with _reader(settings) as reader:
        screen.see(reader.read())
        if once or json:
            _print(screen, reader, once, json)
        else:
            _watch(screen, reader)


@contextmanager
def _reader(settings: Settings) -> Iterator[FleetReader]:
    keys = Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
    connection = Connection(settings.redis, keys)
    try:
        yield FleetReader(connection)
    finally:
        connection.close()


def _print(screen: Screen, reader: FleetReader, once: bool, json: bool) -> None:
    """Looks without a terminal; the first one tells of no rate yet, so a second one follows."""
    away = False
    while True:
        time.sleep(PERIOD_S)
        try:
            fleet = reader.read()
        except QueueUnavailable as error:
            if once or isinstance(error, AccessDenied):
                raise
            if not away:
                err.print(printable(str(error)), markup=False, soft_wrap=True)
            away = True
            continue
        away = False
        screen.see(fleet)
        if json:
            streams = [line.to_dict() for line in screen.lines()]
            print_json({"at": round(fleet.at_unix_s, 3), "fleet": fleet_figures(fleet), "streams": streams})
        else:
            screen.grid(screen.lines()).print()
            out.print(screen.fleet_text(), highlight=False, markup=False, soft_wrap=True)
        if once:
            return


class Looks:
    """Looks again and again in a thread of its own, so that keys are heeded while Redis is slow or away."""

    def __init__(self, reader: FleetReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._newest: FleetNow | None = None
        self._failure: Exception | None = None
        self._trouble = ""
        threading.Thread(target=self._run, name="looks", daemon=True).start()

    def take(self) -> tuple[FleetNow | None, str]:
        """The newest look, if there is a new one, and why there is none.

        Raises:
            AccessDenied: Redis does not let us look.
        """
        with self._lock:
            newest, self._newest = self._newest, None
            if self._failure is not None:
                raise self._failure
            return newest, self._trouble

    def _run(self) -> None:
        while True:
            time.sleep(PERIOD_S)
            newest: FleetNow | None = None
            failure: Exception | None = None
            trouble = ""
            try:
                newest = self._reader.read()
            except AccessDenied as error:
                failure = error
            except QueueUnavailable as error:
                trouble = str(error)
            except Exception as error:  # a bug: it belongs on the terminal that is restored, not on this one
                failure = error
            with self._lock:
                self._newest, self._failure, self._trouble = newest or self._newest, failure, trouble
            if failure is not None:
                return


def _watch(screen: Screen, reader: FleetReader) -> None:
    """Until ``q``; Ctrl-Z puts it aside as it does any other program."""
    looks = Looks(reader)
    aside = threading.Event()
    signal.signal(signal.SIGTSTP, lambda number, frame: aside.set())
    # A connection that ends takes its terminal along.
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    while _draw(screen, looks, aside):
        aside.clear()
        os.kill(os.getpid(), signal.SIGSTOP)


def _draw(screen: Screen, looks: Looks, aside: threading.Event) -> bool:
    """Draw until it is put aside; False where it is over."""
    drawn_s, size, before = float("-inf"), (0, 0), ""
    with Keyboard() as keyboard, Live(console=out, screen=True, auto_refresh=False, redirect_stderr=False) as live:
        while not aside.is_set():
            keys = keyboard.wait(NOTICE_S)
            if not all(screen.press(key) for key in keys):
                return False
            fleet, trouble = looks.take()
            if fleet is not None:
                screen.see(fleet)
            if trouble and screen.fleet is not None:
                trouble = f"what is shown is {time.time() - screen.fleet.at_unix_s:.0f} s old: {trouble}"
            due = time.monotonic() - drawn_s >= PERIOD_S
            if keys or fleet is not None or trouble != before or out.size != size or due:
                live.update(screen.draw(out, trouble), refresh=True)
                drawn_s, size, before = time.monotonic(), out.size, trouble
    return True
