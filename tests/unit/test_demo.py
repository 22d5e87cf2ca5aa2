"""What the demo says of its own clip, and the sheet it draws of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from streamtag.core.records import GroupLabel, Label, Result
from streamtag.errors import StreamtagError
from streamtag.tools.demo.clips import DrawnClip, TrueSegment, Verdict, judge
from streamtag.tools.demo.contact_sheet import CELL, GAP, HEAD, STRIP, draw_contact_sheet
from streamtag.tools.demo.drawing import LABELS, NOTHING

CAT = TrueSegment("a cat", frozenset({"tabby", "tiger_cat"}), 0.0, 2.0)
STREET = TrueSegment("a street", frozenset(), 2.0, 4.0)

GROUPS = {
    "cat": frozenset({"tabby", "tiger_cat"}),
    "animal": frozenset({"tabby", "tiger_cat", "lynx"}),
    "vehicle": frozenset({"moped"}),
}


def result(pts_s: float, name: str, smoothed: float, is_active: bool = True) -> Result:
    index = round(pts_s * 25)
    label = Label(0, name, smoothed, smoothed)
    return Result(f"{index}-1", index, pts_s, (label,), (name,) if is_active else ())


def test_a_segment_is_right_if_most_of_it_shows_an_accepted_label() -> None:
    shown = [result(0.0, "lynx", 0.5), result(0.5, "tabby", 0.6), result(1.0, "tabby", 0.8), result(1.5, "tabby", 0.7)]
    (verdict,) = judge([CAT], shown, GROUPS)
    assert verdict == Verdict(CAT, "tabby", 0.8, 25, True)
    (verdict,) = judge([CAT], [result(0.0, "lynx", 0.5), result(1.0, "lynx", 0.6)], GROUPS)
    assert verdict == Verdict(CAT, "lynx", 0.6, 25, False)


def test_a_label_that_is_not_active_is_not_shown() -> None:
    (verdict,) = judge([CAT], [result(0.5, "tabby", 0.3, False)], GROUPS)
    assert verdict == Verdict(CAT, NOTHING, 0.0, 12, False)


@pytest.mark.parametrize(("group", "is_right"), [("cat", True), ("animal", True), ("vehicle", False)])
def test_a_group_is_right_that_holds_an_accepted_label(group: str, is_right: bool) -> None:
    labels = (Label(0, "tabby", 0.5, 0.45), Label(1, "lynx", 0.4, 0.4))
    told = Result("25-1", 25, 1.0, labels, (group,), groups=(GroupLabel(group, 0.9, 0.85), GroupLabel("all", 1.0, 1.0)))
    assert judge([CAT], [told], GROUPS) == (Verdict(CAT, group, 0.85, 25, is_right),)


def test_a_group_that_other_segments_claim_wholly_is_no_background() -> None:
    shown = [result(1.0, "tabby", 0.9), result(3.0, "cat", 0.5)]
    assert [verdict.is_right for verdict in judge([CAT, STREET], shown, GROUPS)] == [True, False]
    shown = [result(1.0, "tabby", 0.9), result(3.0, "animal", 0.5)]
    assert [verdict.is_right for verdict in judge([CAT, STREET], shown, GROUPS)] == [True, True]


@pytest.mark.parametrize(
    ("name", "is_active", "is_right"),
    [("tabby", False, True), ("mountain_bike", True, True), ("tabby", True, False)],
    ids=["no label", "a label the clip claims nowhere", "the label of the segment before"],
)
def test_a_background_must_not_show_what_other_segments_claim(name: str, is_active: bool, is_right: bool) -> None:
    verdicts = judge([CAT, STREET], [result(1.0, "tabby", 0.9), result(3.0, name, 0.5, is_active)], GROUPS)
    assert [verdict.is_right for verdict in verdicts] == [True, is_right]


def test_a_segment_without_a_sample_is_not_right() -> None:
    assert [verdict.is_right for verdict in judge([CAT, STREET], [], GROUPS)] == [False, False]


def test_the_drawn_clip_has_one_truth_at_each_time(tmp_path: Path) -> None:
    segments = DrawnClip().write(tmp_path / "x.mp4", 5.0)
    assert [(one.start_s, one.end_s) for one in segments] == [(0.0, 2.5), (2.5, 5.0)]
    assert all(one.name in LABELS and one.accepted == frozenset({one.name} - {NOTHING}) for one in segments)


def clip_of_two_colours(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 36))
    for colour in [(255, 0, 0)] * 5 + [(0, 255, 0)] * 5:
        writer.write(np.full((36, 64, 3), colour, np.uint8))
    writer.release()
    return path


def test_the_sheet_has_a_frame_of_each_segment_and_marks_what_is_wrong(tmp_path: Path) -> None:
    verdicts = [Verdict(CAT, "tabby", 0.8, 2, True), Verdict(STREET, "tabby", 0.5, 7, False)]
    clip = clip_of_two_colours(tmp_path / "clip.mp4")
    path = tmp_path / "sheet.png"
    draw_contact_sheet(path, clip, [*verdicts, Verdict(CAT, "", 0.0, -1, False)], "a heading")
    sheet = np.asarray(Image.open(path)).astype(int)
    assert sheet.shape == (HEAD + CELL[1] + STRIP + GAP, 3 * (CELL[0] + GAP) + GAP, 3)
    middles = [sheet[HEAD + CELL[1] // 2, GAP + place * (CELL[0] + GAP) + CELL[0] // 2] for place in range(3)]
    assert middles[0][2] > 200 > 60 > middles[0][1], "blue, as the frame with that index is"
    assert middles[1][1] > 200 > 60 > middles[1][2]
    bars = [sheet[HEAD + CELL[1] + 1, GAP + place * (CELL[0] + GAP) + 5] for place in range(3)]
    assert bars[0][1] > bars[0][0], "green for right"
    assert bars[1][0] > bars[1][1], "red for wrong"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clip.mp4", "sheet.png"]


def test_a_sheet_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    clip = clip_of_two_colours(tmp_path / "clip.mp4")
    with pytest.raises(StreamtagError, match=r"none/sheet\.png: the contact sheet cannot be written: No such file"):
        draw_contact_sheet(tmp_path / "none" / "sheet.png", clip, [Verdict(CAT, "tabby", 0.8, 2, True)], "x")
