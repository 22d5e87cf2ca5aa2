"""Pictures of PyAV's frames, in the colours in which OpenCV makes them.

Frames may have more colours than a screen of BT.709 shows, as films of phones have (BT.2020, HLG, PQ). OpenCV leaves
them to FFmpeg, which maps them to the colours of BT.709 (``libswscale/format.c``). PyAV has it do so only where it is
told to which; else they come out pale, in places by half of the scale. To prepare the mapping takes seconds of
processor time, once, here as there.
"""

from __future__ import annotations

import itertools

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter

from streamtag.ingest.planes import Pixels, Planes
from streamtag.ingest.readers import CorruptFrame, check_size

_NEAR_BT709 = frozenset(
    (
        ColorPrimaries.BT709,
        ColorPrimaries.UNSPECIFIED,
        ColorPrimaries.BT470M,
        ColorPrimaries.BT470BG,
        ColorPrimaries.SMPTE170M,
        ColorPrimaries.SMPTE240M,
    )
)
_HIGH_RANGE = frozenset((ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67))
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
_PLANAR = frozenset(f"yuv{full}{kind}p" for full in ("", "j") for kind in (420, 422, 444))
# Known colours, none of which leaves the scale of RGB; of each so many pixels, as FFmpeg mixes those side by side.
_KNOWN = np.array(list(itertools.product(np.linspace(80, 180, 8), *[np.linspace(104, 152, 8)] * 2))).round()
_KNOWN_PX = 16
_ROUNDED = 1.5  # by so much a conversion may be off the sums that it should be


class Converter:
    """Makes pictures of the frames of one source: each frame's own converter would begin anew.

    Args:
        name: of the source, as errors tell it.
        max_pixels: of a picture.
    """

    def __init__(self, name: str, max_pixels: int) -> None:
        self._name = name
        self._max_pixels = max_pixels
        self._reformatter = VideoReformatter()
        self._to_rgb: dict[tuple[object, ...], np.ndarray | None] = {}

    def planes(self, frame: VideoFrame) -> Pixels:
        """What ``picture`` gives, before it is converted where that can be done later.

        Raises:
            CorruptFrame, RejectJob: see ``picture``.
        """
        check_size(self._name, frame.width, frame.height, self._max_pixels)
        if frame.format.name not in _PLANAR or frame.interlaced_frame or shown_colours(frame):
            return self.picture(frame)
        # Where rows or columns are odd in number, FFmpeg converts more exactly.
        key = frame.format.name, int(frame.colorspace), int(frame.color_range), frame.width % 2, frame.height % 2
        if key not in self._to_rgb:
            self._to_rgb[key] = self._sums(frame)
        to_rgb = self._to_rgb[key]
        if to_rgb is None:
            return self.picture(frame)
        turn = _TURNS.get(frame.rotation % 360)
        brightness, *colours = (
            plane if turn is None else cv2.rotate(plane, turn) for plane in (_pixels(frame, at) for at in range(3))
        )
        return Planes(brightness, (colours[0], colours[1]), to_rgb, lambda: self.picture(frame))

    def picture(self, frame: VideoFrame) -> np.ndarray:
        """(h, w, 3) uint8 BGR, upright.

        Raises:
            CorruptFrame: its colours cannot be converted.
            RejectJob: it is too large.
        """
        check_size(self._name, frame.width, frame.height, self._max_pixels)
        picture = self._converted(frame)
        turn = _TURNS.get(frame.rotation % 360)
        return picture if turn is None else cv2.rotate(picture, turn)

    def _converted(self, frame: VideoFrame) -> np.ndarray:
        try:
            # Its colours are scaled up, and mapped to those of a screen, as OpenCV does it.
            colours = shown_colours(frame)
            converted = self._reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC", threads=1, **colours)
        except av.FFmpegError as error:
            raise CorruptFrame(f"its colours cannot be converted ({error.strerror})") from None
        return converted.to_ndarray()

    def _sums(self, like: VideoFrame) -> np.ndarray | None:
        """(3, 4) float32: the sums of brightness, colours and 1 that FFmpeg makes of such frames; None if it does not.

        Which they are depends on what a frame says of itself, and on what FFmpeg makes of its silence. So it converts
        known colours here.
        """
        width, height = len(_KNOWN) * _KNOWN_PX + like.width % 2, _KNOWN_PX + like.height % 2
        known = VideoFrame(width, height, like.format.name)
        known.colorspace, known.color_range = like.colorspace, like.color_range
        for at in range(3):
            plane = _pixels(known, at)
            places = np.arange(plane.shape[1]) // (plane.shape[1] // len(_KNOWN))
            plane[:] = _KNOWN[places.clip(max=len(_KNOWN) - 1), at]
        middles = slice(_KNOWN_PX // 2, len(_KNOWN) * _KNOWN_PX, _KNOWN_PX)
        shown = self._converted(known)[_KNOWN_PX // 2, middles, ::-1].astype(float)
        terms = np.column_stack([_KNOWN, np.ones(len(_KNOWN))])
        sums = np.linalg.lstsq(terms, shown)[0]
        return sums.T.astype(np.float32) if np.abs(terms @ sums - shown).max() < _ROUNDED else None


def _pixels(frame: VideoFrame, at: int) -> np.ndarray:
    """(h, w) uint8 of one of a frame's planes, which stay the frame's."""
    plane = frame.planes[at]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def shown_colours(frame: VideoFrame) -> dict[str, int]:
    """For ``VideoReformatter.reformat``: to which colours a frame is to be converted, where it is to be at all."""
    primaries: int = frame.color_primaries
    transfer: int = frame.color_trc
    near, high = primaries in _NEAR_BT709, transfer in _HIGH_RANGE
    if near and not high:
        return {}
    return {
        "dst_color_primaries": primaries if near else ColorPrimaries.BT709,
        "dst_color_trc": ColorTrc.BT709 if high else transfer,
    }
