"""Which sources a job may name, as far as the name tells. Addresses are checked by the gate, at each connection."""

from __future__ import annotations

import os
from pathlib import Path

from streamtag.core.source import SourceKind, path_of, source_kind
from streamtag.errors import RejectJob, RetryJob
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings


class AuthFailed(RetryJob):
    """The server wants other credentials."""


class Unreachable(RetryJob):
    """No connection can be made."""


class NoAnswer(RetryJob):
    """Nothing comes, or nothing any more."""


def allowed(source: str, settings: SourceSettings) -> str:
    """The source as it may be opened: a path for files, anything else as it is.

    Raises:
        RejectJob: the settings do not allow it.
    """
    kind = source_kind(source)
    scheme = (
        source.partition("://")[0].lower() if "://" in source else ("camera" if kind is SourceKind.CAMERA else "file")
    )
    if scheme not in settings.schemes:
        known = ", ".join(settings.schemes)
        raise RejectJob(f"{shown_source(source)}: scheme {scheme!r} is not allowed here (source.schemes: {known})")
    if kind in (SourceKind.CAMERA, SourceKind.RTSP, SourceKind.HTTP):
        return source
    path = path_of(source)
    check_path(Path(path), settings)
    return path


def check_path(path: Path, settings: SourceSettings) -> None:
    """Refuse a file that lies where jobs may not read.

    Raises:
        RejectJob: the path, links followed, lies outside ``source.file_roots``, or among the credentials.
    """
    real = Path(os.path.realpath(path))  # unlike Path.resolve it takes links that turn in a circle
    secrets = settings.credentials
    if secrets and (
        real.is_relative_to(os.path.realpath(secrets)) or path.absolute().is_relative_to(secrets.absolute())
    ):
        raise RejectJob(f"{shown_source(str(path))}: lies where this worker has its credentials")
    if not settings.file_roots:
        return
    if not any(real.is_relative_to(root.resolve()) for root in settings.file_roots):
        roots = ", ".join(str(root) for root in settings.file_roots)
        raise RejectJob(
            f"{shown_source(str(path))}: lies outside the folders that jobs may read (source.file_roots: {roots})"
        )
