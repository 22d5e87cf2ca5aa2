"""Sources of a web server and RTSP streams, through the gate: how they are opened."""

from __future__ import annotations

import time

import av
from av.container import InputContainer

from streamtag.core.source import SourceKind, is_picture
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest import formats, playlists
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.films import open_whole_frames
from streamtag.ingest.gate import GateClient
from streamtag.ingest.interlaced import Capture
from streamtag.ingest.live import StreamReader, open_packets
from streamtag.ingest.packets import Connections
from streamtag.ingest.pictures import MAX_IMAGE_BYTES, ContentReader
from streamtag.ingest.policy import NoAnswer
from streamtag.ingest.readers import Reader
from streamtag.ingest.videos import (
    explain,
    open_ffmpeg,
    pyav_options,
    whitelists,
)
from streamtag.ingest.web import download, find
from streamtag.ingest.web_films import WebConnection, WebFilmReader, WebVideoReader
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# The description of an RTSP stream says what it holds. FFmpeg would look at frames all the same, to guess their rate:
# 1.2 s at 25 frames a second, 5.4 s at 5.
_PROMPT = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
# A stream of a web server says less, but its frames' rate nobody wants to know either; a playlist is begun at its end.
_NO_MORE_THAN_NEEDED = {"fpsprobesize": "0", "analyzeduration": "2000000", "live_start_index": "-1"}
# It looks at the numbers of packets only where they may have to be put in order. Two, since a missing one is waited for
# until so many others are there. Of sound nobody wants to know.
_TELLS_OF_LOSSES = {"reorder_queue_size": "2", "allowed_media_types": "video"}


class TurnsOutLive(Exception):
    """A source that could be finite by its name goes on for ever."""


def open_rtsp(source: str, settings: SourceSettings, sparse: bool, log: ErrorLog, gate: GateClient) -> Reader:
    """Open an RTSP stream through the gate's relay.

    Args:
        sparse: decode no more than the samples need.

    Raises:
        RejectJob: it is not allowed.
        RetryJob: it does not answer.
    """
    options = whitelists(SourceKind.RTSP) | _PROMPT
    # To the gate, which speaks UDP to cameras that want it.
    options["rtsp_transport"] = "tcp"
    options |= _TELLS_OF_LOSSES
    container, connections = _stream(gate.rtsp_url, source, SourceKind.RTSP, options, settings, log, gate)
    return StreamReader(container, connections, source, settings, sparse, log)


def _stream(
    location: str,
    source: str,
    kind: SourceKind,
    options: dict[str, str],
    settings: SourceSettings,
    log: ErrorLog,
    gate: GateClient,
) -> tuple[InputContainer, Connections]:
    """A live stream, opened."""
    log.forget()
    began_s = time.monotonic()
    try:
        return open_packets(location, options, settings)
    except av.FFmpegError:
        gate.check()
        waited_s = time.monotonic() - began_s
        if waited_s >= settings.open_timeout_s:  # it was we who broke off
            raise NoAnswer(f"{shown_source(source)}: gave no answer for {waited_s:.1f} s") from None
        raise explain(source, kind, log) from None


def open_http(
    source: str,
    live: bool | None,
    settings: SourceSettings,
    keyframes: bool,
    sparse: bool,
    log: ErrorLog,
    gate: GateClient,
    again: bool = False,
) -> Reader:
    """Open a film, a picture, a playlist or a stream of a web server.

    Args:
        live: None where the source itself is to tell.
        sparse: decode no more than the samples need, of a film where that can be told beforehand.
        again: it was read before.

    Raises:
        TurnsOutLive: it does.
        RejectJob: it is not allowed, not there, or not what it should be.
        RetryJob: it does not answer, or has ended since it was read.
    """
    gate.use_as_proxy()
    web = find(source, settings, gate)
    connection = WebConnection(shown_source(source), web, log, gate)
    picture = is_picture(web.url) or web.content_type in formats.PICTURE_TYPES or formats.is_picture_content(web.first)
    if sparse and not live and formats.has_frames_in_packets(web.first, keyframes and not picture):
        log.forget()
        options = pyav_options(SourceKind.HTTP, settings)
        if (opened := open_whole_frames(web.url, options, settings, keyframes)) is not None:
            return WebFilmReader(*opened, source, settings, connection)
        gate.check()
    if picture:
        return ContentReader(download(web.url, MAX_IMAGE_BYTES, settings.read_timeout_s, gate), settings.max_pixels)
    if playlists.is_playlist(web.first):
        if live is None and _is_live_playlist(web.url, settings, gate):
            raise TurnsOutLive
        # Its last minutes would be read again and again, as fast as they can be had, and published as new.
        if live and again and not _is_live_playlist(web.url, settings, gate):
            raise RetryJob(f"{shown_source(source)}: the playlist is marked as finished; it is read when it goes on")
    elif reference := formats.reference_format(web.first):
        raise RejectJob(f"{shown_source(source)}: refers to other files or addresses: {reference}")
    if live:
        options = pyav_options(SourceKind.HTTP, settings) | _NO_MORE_THAN_NEEDED
        container, connections = _stream(web.url, source, SourceKind.HTTP, options, settings, log, gate)
        timed, bursts = formats.has_times(web.content_type, web.first), playlists.is_playlist(web.first)
        return StreamReader(container, connections, source, settings, sparse, log, timed, bursts)
    capture = _opened(web.url, source, settings, keyframes, log, gate)
    return WebVideoReader(capture, source, settings, connection, web.first)


def _is_live_playlist(url: str, settings: SourceSettings, gate: GateClient) -> bool:
    for _level in range(2):
        text = download(url, playlists.MAX_BYTES, settings.open_timeout_s, gate).decode("utf-8", "replace")
        further = playlists.variant(text, url)
        if further is None:
            return playlists.is_live(text)
        url = further
    raise RejectJob(f"{shown_source(url)}: a playlist of playlists of playlists")


def _opened(
    location: str,
    source: str,
    settings: SourceSettings,
    keyframes: bool,
    log: ErrorLog,
    gate: GateClient,
) -> Capture:
    log.forget()
    capture = open_ffmpeg(location, source, SourceKind.HTTP, settings, log, keyframes)
    gate.check()
    if not capture.isOpened():
        raise explain(source, SourceKind.HTTP, log)
    return capture
