"""How PyAV opens what it reads, a film or a live stream alike. Runs in the decoder process only."""

from __future__ import annotations

import av
import av.audio.stream  # PyAV looks for these when a stream opens, and the cage is closed by then
import av.subtitles.stream
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext

from streamtag.settings import SourceSettings

# FFmpeg's AV_LOG_ERROR, the reason of a failure and no chatter; and AV_LOG_WARNING, also that packets are missing.
_ERRORS_ONLY, _WARNINGS = 16, 24


def open_container(
    location: str, options: dict[str, str], settings: SourceSettings, warned: bool = False
) -> InputContainer:
    """FFmpeg on a file or an address. What it says goes to standard error, and so into the error log.

    Args:
        options: FFmpeg's.
        warned: it says more than what makes it fail.

    Raises:
        av.FFmpegError: it does not open.
    """
    av.logging.restore_default_callback()
    av.logging.set_libav_level(_WARNINGS if warned else _ERRORS_ONLY)
    # None for reading: PyAV would look at the clock under Python's lock, a thousand times a second.
    timeout_s = (settings.open_timeout_s, None)
    return av.open(location, options=options, timeout=timeout_s, metadata_errors="replace")


def bound(codec: VideoCodecContext, settings: SourceSettings) -> None:
    """Hold a codec that is not open yet to the threads, and the size of pictures, that a source may have."""
    codec.thread_count = settings.threads
    codec.options = {"max_pixels": str(settings.max_pixels)}
