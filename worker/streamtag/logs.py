"""Log lines with names and values, to standard error: standard output belongs to results."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from streamtag.errors import StreamtagError
from streamtag.redaction import redact
from streamtag.settings import LogSettings


def configure(settings: LogSettings) -> None:
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
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
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
    """Keep what libraries write to standard error past Python: TensorFlow greets with a page that no setting stops.

    It is logged at level debug, and shown when the block fails.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as original:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except StreamtagError:  # which says all there is to say
            raise
        except BaseException:
            kept.seek(0)
            original.write(redact(kept.read().decode("utf-8", "replace")).encode())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)
        kept.seek(0)
        log.debug("libraries said", text=kept.read().decode("utf-8", "replace"))


log: structlog.stdlib.BoundLogger = structlog.get_logger()
