"""Frames with more colours than a screen of BT.709 shows, as films of phones have (BT.2020, HLG, PQ).

OpenCV leaves them to FFmpeg, which maps them to the colours of BT.709 (``libswscale/format.c``). PyAV has it do so only
where it is told to which; else they come out pale, in places by half of the scale. To prepare the mapping takes
seconds of processor time, once, here as there.
"""

from __future__ import annotations

from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc

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
