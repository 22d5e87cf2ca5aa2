"""Log lines with names and values, to standard error: standard output belongs to results."""

from __future__ import annotations

import functools
import io
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

from streamtag.errors import StreamtagError
from streamtag.redaction import redact
from streamtag.settings import LogSettings


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
            *([] if console else [structlog.processors.format_exc_info]),
            _redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=file or own_stderr()),
        cache_logger_on_first_use=False,
    )


def _redacted(logger: Any, method: str, event: Any) -> Any:
    """No password in any line, whoever wrote it."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value)
    return event


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what libraries write to standard error: TensorFlow greets with a page that no setting stops.

    It is logged at level debug, and shown when the block fails. What goes to ``own_stderr`` passes.
    """
    python_stderr = sys.stderr
    python_stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as original:
        os.dup2(kept.fileno(), 2)
        # Python's own warnings too, also while a progress bar stands in for ``sys.stderr``.
        sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb"), errors="backslashreplace", line_buffering=True)
        try:
            yield
        except StreamtagError:  # which says all there is to say
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
