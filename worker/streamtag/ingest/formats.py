"""Which formats a source may have. Those that name other files or addresses are not among them.

FFmpeg reads some formats that are only lists of where the rest is (playlists, ffconcat, DASH, IMF, SDP, image
sequences), whatever the file is called, and follows them past every check of the source itself. So FFmpeg gets a list
of what it may read, and our own look at the first bytes gives the reason in words.
"""

from __future__ import annotations

import re

# Demuxers of FFmpeg that find everything in the one source. Left out on purpose although they hold video: ``mlv``,
# which opens files beside its own, and the ``*_pipe`` of pictures, whose size is checked elsewhere (pictures.py).
_CONTAINERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "live_flv", "asf", "ogg", "mxf"),
    *("gxf", "nut", "wtv", "nuv", "nsv", "rm", "swf", "dv", "dhav", "ivf", "yuv4mpegpipe", "gif", "apng"),
)
_BARE_STREAMS = (
    *("h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "mpegvideo", "h263", "h261", "vc1", "vc1test", "dirac"),
    *("cavsvideo", "avs2", "avs3", "dnxhd", "mjpeg", "mpjpeg", "smjpeg", "jpeg_pipe"),
)
FILE_FORMATS = ",".join((*_CONTAINERS, *_BARE_STREAMS))
# An HLS playlist is wanted over HTTP, where each address that it names is checked again. Its sound and its subtitles
# are opened too, or the whole playlist fails.
HTTP_FORMATS = f"{FILE_FORMATS},hls,aac,mp3,ac3,eac3,webvtt"
RTSP_FORMATS = "rtsp"

FIRST_BYTES = 512
_REFERENCES = (
    (rb"#EXTM3U", "a playlist (HLS); give its http or https address"),
    (rb"ffconcat version", "a list of files (ffconcat)"),
    (rb"v=0\s", "a session description (SDP)"),
    (rb"<[?!a-z]", "an XML document (DASH, IMF, SVG, ASX, SMIL)"),
    (rb"\[(playlist|reference)\]", "a playlist"),
    (rb"(rtsp|rtmp|https?|file|RTSPtext)://", "a playlist"),
)
_MP4_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide")
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")


def reference_format(first: bytes) -> str:
    """What a content is that refers to other files or addresses, told by its first bytes; empty for any other."""
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for pattern, name in _REFERENCES if re.match(pattern, text, re.IGNORECASE)), "")


def is_picture_content(first: bytes) -> bool:
    """Whether a content is a single picture, whatever its name. JPEG is left out: films of it begin the same."""
    webp_or_avif = (first[:4] == b"RIFF" and first[8:12] == b"WEBP") or first[4:12] in (b"ftypavif", b"ftypavis")
    return webp_or_avif or first.startswith(_PICTURES)


def has_frames_in_packets(first: bytes, keyframes: bool) -> bool:
    """Whether a content is MP4, Matroska or, for its key frames, any film, told by its first bytes."""
    # AVIF, a picture, begins as MP4 does.
    if (first[4:8] in _MP4_BOXES and not is_picture_content(first)) or first.startswith(b"\x1aE\xdf\xa3"):
        return True
    other = is_picture_content(first) or reference_format(first) or first.startswith((b"\xff\xd8", b"GIF8", b"--"))
    return keyframes and not other  # a film of nothing but pictures has no other frames


def has_no_times(first: bytes) -> bool:
    """Whether frames are merely counted: FFmpeg's times of AVI and of bare codecs are late by what the codec holds."""
    return (first[:4] == b"RIFF" and first[8:12] == b"AVI ") or _is_bare(first)


def counts_frames(first: bytes) -> bool:
    """Whether a content (MP4, AVI) says how many frames it has. Of others it is guessed by how long they are."""
    return first[4:8] in _MP4_BOXES or first[:4] == b"RIFF"


def _is_bare(first: bytes) -> bool:
    return first.startswith((b"\0\0\0\1", b"\0\0\1")) and not first.startswith(b"\0\0\1\xba")


PICTURE_TYPES = frozenset(f"image/{name}" for name in ("jpeg", "png", "webp", "bmp", "tiff", "gif", "avif", "jp2"))


def has_times(content_type: str, first: bytes) -> bool:
    """Whether the frames of a stream carry times of their own: pictures in a row and bare codecs have none."""
    return not (content_type.startswith("multipart/") or first.startswith(b"\xff\xd8") or _is_bare(first))
