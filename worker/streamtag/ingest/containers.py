"""How PyAV opens what it reads, a film or a live stream alike. Runs in the decoder process only."""

from __future__ import annotations

import av
import av.audio.stream  # PyAV looks for these when a stream opens, and the cage is closed by then
import av.subtitles.stream
from av.container import InputContainer

from streamtag.settings import SourceSettings

_ERRORS_ONLY = 16  # FFmpeg's AV_LOG_ERROR: the reason of a failure, no chatter


def open_container(location: str, options: dict[str, str], settings: SourceSettings) -> InputContainer:
    """FFmpeg on a file or an address. What it says goes to standard error, and so into the error log.

    Args:
        options: FFmpeg's.

    Raises:
        av.FFmpegError: it does not open.
    """
    av.logging.restore_default_callback()
    av.logging.set_libav_level(_ERRORS_ONLY)
    # None for reading: PyAV would look at the clock under Python's lock, a thousand times a second.
    timeout_s = (settings.open_timeout_s, None)
    return av.open(location, options=options, timeout=timeout_s, metadata_errors="replace")
