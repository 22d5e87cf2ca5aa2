"""A process that decodes, until its source is open. Tools that decode by themselves begin as a decoder does."""

from __future__ import annotations

import os

import cv2

from streamtag.core.source import SourceKind
from streamtag.ingest import opening
from streamtag.ingest.cage import allow_processor_time, be_killed_first, confine_decoder, limit_process
from streamtag.ingest.credentials import with_credential
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.gate import GateClient
from streamtag.ingest.policy import AuthFailed
from streamtag.ingest.readers import Reader
from streamtag.ingest.request import Request
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings


def confine_process(settings: SourceSettings) -> None:
    """Die with the parent, leave Ctrl-C to it, stay within the memory limit, use one core."""
    limit_process(settings)
    be_killed_first()
    allow_processor_time(settings.watchdog_s)
    os.environ["OPENCV_FFMPEG_DEBUG"] = "1"
    cv2.setNumThreads(1)


def open_caged(request: Request, log: ErrorLog) -> Reader:
    """Find the source, close the cage around this process, and only then read what a stranger wrote.

    Raises:
        RejectJob, RetryJob, ConfigError, TurnsOutLive: see ``open_reader`` and ``confine_decoder``.
    """
    source = request.source
    if request.credential:  # before the cage closes: nothing in it can read the folder
        source = with_credential(source, request.credential, request.settings.credentials)
        log.about(source)
    located = opening.locate(source, request.settings, request.pictures)
    device = located.path if located.kind is SourceKind.CAMERA else None
    confine_decoder(request.settings, located.files, request.gate_port, device)
    gate = GateClient(request.gate_port, source) if request.gate_port else None
    live = None if request.may_turn_live and not request.live else request.live
    sparse, again = request.decode_mode != "all", request.decoded > 0
    try:
        return opening.open_reader(
            located, request.settings, log, gate, request.sampling.keyframes, live, sparse, again
        )
    except AuthFailed:
        if not request.credential:
            raise
        shown = shown_source(request.source)
        raise AuthFailed(
            f"{shown}: the server refuses credential {request.credential!r} (source.credentials)"
        ) from None
