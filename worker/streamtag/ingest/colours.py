"""Pictures of PyAV's frames, as OpenCV makes them.

Frames may have more colours than a screen of BT.709 shows, as films of phones have (BT.2020, HLG, PQ). OpenCV leaves
them to FFmpeg, which maps them to the colours of BT.709 (``libswscale/format.c``). PyAV has it do so only where it is
told to which; else they come out pale, in places by half of the scale. To prepare the mapping takes seconds of
processor time, once, here as there.
"""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc, VideoReformatter

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

    def picture(self, frame: VideoFrame) -> np.ndarray:
        """(h, w, 3) uint8 BGR, upright.

        Raises:
            CorruptFrame: its colours cannot be converted.
            RejectJob: it is too large.
        """
        check_size(self._name, frame.width, frame.height, self._max_pixels)
        try:
            # Its colours are scaled up, and mapped to those of a screen, as OpenCV does it.
            colours = shown_colours(frame)
            converted = self._reformatter.reformat(frame, format="bgr24", interpolation="BICUBIC", threads=1, **colours)
        except av.FFmpegError as error:
            raise CorruptFrame(f"its colours cannot be converted ({error.strerror})") from None
        picture = converted.to_ndarray()
        turn = _TURNS.get(frame.rotation % 360)
        return picture if turn is None else cv2.rotate(picture, turn)


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
