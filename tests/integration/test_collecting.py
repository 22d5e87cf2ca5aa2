"""Frames of a film as pictures to train with, by the real decoder: which, how large, and none ever overwritten."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.core.job import Sampling
from streamtag.core.records import Event, Label, Result
from streamtag.errors import ConfigError, StreamtagError
from streamtag.settings import Settings
from streamtag.tools.certainty import by_results, margin
from streamtag.tools.collecting import Folder, Saved, active_spans, checked_label, collect, folder_name, parse_span
from streamtag.tools.whole_frames import Span, Wanted

from tests.support.films import write_film

FIVE = Sampling(fps=5)


def rising(pts_s: float, _picture: np.ndarray) -> float:
    """The later the surer."""
    return pts_s / 100


def files(wanted: Wanted, folder: Folder, certainty: object = rising) -> list[Saved]:
    return list(collect(wanted, folder, Settings(), certainty))  # type: ignore[arg-type]


def test_the_least_certain_frames_of_the_spans_come_first_and_lie_apart(clip: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    spans = (Span(1.0, 3.0), Span(5.0, 6.0))
    found = list(
        collect(
            Wanted(str(clip), spans, sampling=FIVE),
            Folder(tmp_path / "cat", "clip", count=5, apart_s=0.5),
            Settings(),
            lambda pts_s, picture: 1 - pts_s / 100,
            lambda share, looked: shares.append(share),
        )
    )
    times = [saved.pts_s for saved in found]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(6.0)
    assert len({math.floor(pts_s / 0.5) for pts_s in times}) == 5, "of each half second one at most"
    assert {str(saved.path.parent.name) for saved in found} == {"clip_5-6", "clip_1-3"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) <= 32, "what comes after the last span is not read"
    for saved in found:
        picture = cv2.imread(str(saved.path))
        assert picture is not None
        assert picture.shape == (360, 640, 3)


def test_a_frame_is_that_of_its_time_and_no_larger_than_it_was(tmp_path: Path) -> None:
    film = write_film(tmp_path / "small.mp4", 2.0, "mp4")
    (saved,) = files(Wanted(str(film), (Span(1.0, 1.1),), sampling=FIVE), Folder(tmp_path, "small"))
    reader = cv2.VideoCapture(str(film), cv2.CAP_FFMPEG)
    for _ in range(26):
        frame = reader.read()[1]
    picture = cv2.imread(str(saved.path))
    assert picture is not None
    assert picture.shape == (90, 160, 3) == frame.shape
    assert np.abs(picture.astype(int) - frame.astype(int)).mean() < 4


@pytest.mark.parametrize(
    ("longer_px", "region", "shape"),
    [(320, None, (180, 320)), (640, (0.0, 0.0, 0.5, 1.0), (360, 320)), (100, (0.5, 0.0, 0.25, 1.0), (100, 44))],
)
def test_it_is_the_region_that_the_network_sees_in_its_own_shape(
    clip: Path,
    tmp_path: Path,
    longer_px: int,
    region: tuple[float, float, float, float] | None,
    shape: tuple[int, int],
) -> None:
    wanted = Wanted(str(clip), (Span(0.0, 0.1),), longer_px, FIVE, region=region)
    (saved,) = files(wanted, Folder(tmp_path, "clip"))
    picture = cv2.imread(str(saved.path))
    assert picture is not None
    assert picture.shape[:2] == shape
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert edge.mean() > 8, "no black border is left"


def test_what_is_there_is_never_written_over(clip: Path, tmp_path: Path) -> None:
    wanted, folder = Wanted(str(clip), (Span(0.0, 2.0),), sampling=FIVE), Folder(tmp_path, "clip")
    first = files(wanted, folder)
    first[0].path.write_bytes(b"mine")
    first[1].path.unlink()
    again = files(wanted, folder)
    assert [saved.is_new for saved in again] == [saved == first[1] for saved in first]
    assert first[0].path.read_bytes() == b"mine"
    assert [saved.is_other for saved in again] == [saved == first[0] for saved in first]


def test_the_regions_of_a_frame_lie_beside_each_other(clip: Path, tmp_path: Path) -> None:
    """Those of the second were once taken for those of the first, and not written."""
    saved = []
    for name, region in (("left", (0.0, 0.0, 0.5, 1.0)), ("right", (0.5, 0.0, 0.5, 1.0))):
        wanted = Wanted(str(clip), (Span(0.0, 2.0),), sampling=FIVE, region=region)
        saved += files(wanted, Folder(tmp_path, "clip", region=name))
    assert all(one.is_new for one in saved)
    assert len({one.path for one in saved}) == len(saved)
    assert {one.path.parent.name for one in saved} == {"clip_0-2"}, "of one span, so on one side of a split"


def test_what_cannot_be_had_says_why(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(StreamtagError, match="none of them is wanted"):
        files(Wanted(str(clip), (Span(100.0, 200.0),)), Folder(tmp_path, "clip"))
    (tmp_path / "torn.mp4").write_bytes(b"no film")
    with pytest.raises(StreamtagError, match="torn"):
        files(Wanted(str(tmp_path / "torn.mp4")), Folder(tmp_path, "torn"))
    (tmp_path / "clip_all").write_text("a file where the folder should be")
    with pytest.raises(StreamtagError, match="clip_all"):
        files(Wanted(str(clip), sampling=FIVE), Folder(tmp_path, "clip", count=1))


def result(pts_s: float, *scores: float) -> Result:
    labels = tuple(Label(number, f"l{number}", score, score) for number, score in enumerate(scores))
    return Result("1-1", 0, pts_s, labels, ())


def test_how_sure_the_network_was_is_told_by_what_was_published() -> None:
    known = by_results([result(0.0, 0.9, 0.05), result(0.5, 0.4, 0.35), result(1.0, 0.6)])
    assert known is not None
    assert known.step_s == 0.5
    picture = np.zeros((1, 1, 3), np.uint8)
    found = [known.certainty(pts_s, picture) for pts_s in (0.0, 0.52, 1.0, 1.2, 2.0)]
    assert found[:4] == pytest.approx([0.85, 0.05, 0.6, 0.6])
    assert found[4] is None, "it was no sample"
    assert by_results([]) is None
    assert margin([0.2, 0.7, 0.1]) == pytest.approx(0.5)


def event(kind: str, pts_s: float, label: str, region: str = "") -> Event:
    return Event("1-1", "j", kind, pts_s, {"label": {"name": label}} | ({"region": region} if region else {}))


def test_spans_are_where_a_label_was_active() -> None:
    told = [
        event("enter", 1.0, "dog"),
        event("enter", 1.5, "cat"),
        event("exit", 2.0, "dog"),
        Event("1-1", "j", "state", 2.5, {"state": "live"}),
        event("exit", 3.0, "cat"),
        event("enter", 4.0, "dog", "door"),
        event("enter", 5.0, "dog"),
    ]
    assert active_spans(told, "dog") == (Span(1.0, 2.0), Span(5.0))
    assert active_spans(told, "dog", "door") == (Span(4.0),)
    with pytest.raises(StreamtagError, match="'bird' became active; these did: cat, dog"):
        active_spans(told, "bird")


@pytest.mark.parametrize(
    ("text", "span"),
    [("12.5-20", Span(12.5, 20)), ("12-", Span(12)), ("3", Span(3, 4)), ("0-0.5", Span(0, 0.5))],
)
def test_a_span_is_written_in_seconds(text: str, span: Span) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "-3", "20-12", "5-5", "1:20-1:30", "1e3-2e3", "nan-2", "1-2-3"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--at"):
        parse_span(text)


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "/etc", "a\nb", "\x1b[31m", "x" * 200, "-rf"])
def test_a_label_leads_nowhere_else(name: str) -> None:
    with pytest.raises(ConfigError, match="--label"):
        checked_label(name)
    assert checked_label("water bottle (empty)") == "water bottle (empty)"


def test_a_folder_is_named_after_its_source_without_what_is_secret() -> None:
    assert folder_name("rtsp://user:hunter2@camera.lan/gate?token=1") == "gate"
    assert folder_name("/srv/films/a film.mp4") == "a-film"
    assert folder_name("rtsp://user:hunter2@camera.lan") == "camera"
    assert folder_name("../..") == "stream"
