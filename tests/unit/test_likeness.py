"""What a decoder tells of the difference between pictures."""

from __future__ import annotations

import numpy as np
import pytest
from streamtag.core.motion_gate import THUMBNAIL
from streamtag.ingest.likeness import Comparison, FrameMotion


def frame(left: int, size: tuple[int, int] = (720, 1280)) -> np.ndarray:
    """A bright square of 60 pixels, so far from the left."""
    picture = np.full((*size, 3), 60, np.uint8)
    picture[300:360, left : left + 60] = 220
    return picture


def test_what_moves_at_the_edge_of_a_frame_is_motion_of_the_frame() -> None:
    motion = FrameMotion()
    moved = [motion.see(frame(left)) for left in (20, 20, 80)]
    assert moved[:2] == [0.0, 0.0]
    assert moved[2] == pytest.approx(2 * 60 * 60 / (720 * 1280) * 160 / 255, rel=0.2)


@pytest.mark.parametrize("size", [(1, 1), (31, 1000), (1000, 31), (33, 33), (4320, 64)])
def test_frames_of_any_size_can_be_compared(size: tuple[int, int]) -> None:
    motion = FrameMotion()
    motion.see(frame(0))
    assert motion.see(np.zeros((*size, 3), np.uint8)) == 0.0  # of another size: nothing is said
    assert motion.see(np.full((*size, 3), 255, np.uint8)) == 1.0
    assert motion.see(np.full(size, 255, np.uint8)) == 0.0  # the same in grey


def test_a_thumbnail_has_the_mean_colours_of_the_parts_of_a_picture() -> None:
    picture = np.zeros((224, 224, 3), np.uint8)
    picture[:14, :14] = (200, 100, 50)
    thumbnail = np.full(THUMBNAIL, 77, np.uint8)
    Comparison().see(picture, thumbnail)
    assert thumbnail[0, 0].tolist() == [200, 100, 50]
    assert thumbnail[1:].max() == thumbnail[:, 1:].max() == 0
