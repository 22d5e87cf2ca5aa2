"""Enters and exits folded into segments."""

from __future__ import annotations

import numpy as np
import pytest
from streamtag.core.options import SmoothingSettings
from streamtag.core.segments import Segment, SegmentBuilder
from streamtag.core.smoothing import Smoother


def test_segments_run_from_enter_to_exit_and_overlap_where_labels_do() -> None:
    """Two labels that share a second; the one still active at the end closes with the stream."""
    settings = SmoothingSettings(method="none", enter=0.5, exit=0.4, min_on_s=0.2, min_off_s=0.0)
    smoother, builder = Smoother(settings, 2), SegmentBuilder(("cat", "dog"))
    for number in range(20):
        scores = np.array([0.9 if number < 10 else 0.0, 0.9 if number >= 5 else 0.0], np.float32)
        builder.add(smoother.update(number * 0.2, scores)[1])
        if number == 9:
            assert builder.segments() == (), "none has ended yet"
    builder.add(smoother.close())
    cat, dog = builder.segments()
    assert [cat.label, dog.label] == ["cat", "dog"]
    assert [cat.start_s, cat.end_s, dog.start_s, dog.end_s] == pytest.approx([0.0, 2.0, 1.0, 3.8])
    assert [cat.entered_s, dog.entered_s] == pytest.approx([0.2, 1.2]), "min_on_s after the start"
    assert builder.enters == 2


def test_a_true_segment_was_never_decided() -> None:
    assert Segment("cat", 0.0, 1.0).entered_s is None
