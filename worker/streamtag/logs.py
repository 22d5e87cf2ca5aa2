"""Log lines with names and values, to standard error: standard output belongs to results."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from streamtag.errors import StreamtagError
from streamtag.redaction import redact
from streamtag.settings import LogSettings

MAX_FRAMES = 12
MAX_CAUSES = 3
MAX_MESSAGE = 1000


@functools.cache
def own_stderr() -> TextIO:
    """Standard error for what this program writes itself: ``quiet_stderr`` silences the libraries and not us."""
    return io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), errors="backslashreplace", line_buffering=True)


def configure(settings: LogSettings, file: TextIO | None = None) -> None:
    """Write log lines from now on as the settings say.

    Args:
        file: where to, in place of ``own_stderr``.
    """
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            _exception_as_text,
            _redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=file or own_stderr()),
        cache_logger_on_first_use=False,
    )


def traceback_text(error: BaseException) -> str:
    """What went wrong and where: the last frames of it and of what caused it, without values, and redacted.

    Bounded in every direction. A pretty traceback of a deep recursion over a large value once took a minute to draw,
    with the interpreter's lock held; and the variables that it shows hold passwords.
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < MAX_CAUSES:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\nwhich led to\n".join(_described(one) for one in reversed(chain))


def _described(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    places = [f"  {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames]
    try:
        message = str(error)
    except Exception as broken:  # of the exception's own making
        message = f"<its text raises {type(broken).__name__}>"
    return "\n".join([*places, redact(f"{type(error).__name__}: {message[:MAX_MESSAGE]}")])


def _exception_as_text(logger: Any, method: str, event: Any) -> Any:
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = traceback_text(error)
    return event


def _redacted(logger: Any, method: str, event: Any) -> Any:
    """No password in any line, whoever wrote it."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value)
    return event


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what libraries write to standard error: TensorFlow greets with a page that no setting stops.

    It is logged at level debug, and shown when the block fails, but not when somebody ends it. What goes to
    ``own_stderr`` passes.
    """
    python_stderr = sys.stderr
    python_stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as original:
        os.dup2(kept.fileno(), 2)
        # Python's own warnings too, also while a progress bar stands in for ``sys.stderr``.
        sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), errors="backslashreplace", line_buffering=True)
        try:
            yield
        except (StreamtagError, KeyboardInterrupt):  # the one says all there is to say, of the other people know
            raise
        except BaseException:
            kept.seek(0)
            original.write(redact(kept.read().decode("utf-8", "replace")).encode())
            raise
        finally:
            sys.stderr.close()
            sys.stderr = python_stderr
            os.dup2(original.fileno(), 2)
        kept.seek(0)
        log.debug("libraries said", text=kept.read().decode("utf-8", "replace"))


log: structlog.stdlib.BoundLogger = structlog.get_logger()
