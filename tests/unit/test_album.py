"""Which pictures of a job are kept, and how they become small files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from streamtag.core.album import Album, Picture, PictureGate, PictureKind, Place, nearest
from streamtag.ingest.thumbs import to_jpeg


class Kept:
    """An album and what Redis would hold of it."""

    def __init__(self, album: Album) -> None:
        self.album = album
        self.there: dict[str, float] = {}
        self.most = 0
        self._last = 0

    def regular(self, pts_s: float) -> None:
        self._put(self.album.regular(pts_s))

    def entered(self, pts_s: float) -> None:
        self._put(self.album.entered(pts_s))

    def _put(self, place: Place | None) -> None:
        for name in self.album.gone:
            del self.there[name]
        self.album.removed(self.album.gone)
        if place is not None:
            self._last += 1
            place.name = str(self._last)
            self.there[place.name] = place.pts_s
        self.most = max(self.most, len(self.there))


@pytest.mark.parametrize("seconds", [10, 100, 1000, 10_000])
def test_a_whole_film_stays_covered_within_the_bound(seconds: int) -> None:
    kept = Kept(Album(16, finite=True, every_s=2.0))
    for tenth in range(seconds * 10):
        kept.regular(tenth / 10)
        if tenth % 50 == 0:
            kept.entered(tenth / 10)
    assert kept.most <= 16
    regular = Kept(Album(16, finite=True, every_s=2.0))
    for tenth in range(seconds * 10):
        regular.regular(tenth / 10)
    times = sorted(regular.there.values())
    assert len(times) <= 8
    assert times[0] == 0
    steps = np.diff([*times, seconds])
    assert max(steps) <= max(2.0, 2 * seconds / 8) + 1e-6, "no part of it is far from a picture"


def test_of_a_live_job_the_newest_labels_that_entered_are_kept_and_nothing_regular() -> None:
    kept = Kept(Album(4, finite=False, every_s=2.0))
    for second in range(20):
        kept.regular(second)
        kept.entered(second)
    assert sorted(kept.there.values()) == [16, 17, 18, 19]


def test_an_album_of_none_takes_none() -> None:
    album = Album(0, finite=True, every_s=2.0)
    assert (album.regular(0.0), album.entered(0.0)) == (None, None)
    one = Kept(Album(2, finite=True, every_s=2.0))
    for second in range(100):
        one.regular(second)
        one.entered(second)
    assert sorted(one.there.values()) == [0, 99]


def test_the_next_owner_goes_on_with_the_same_album() -> None:
    first = Kept(Album(16, finite=True, every_s=2.0))
    for second in range(100):
        first.regular(second)
    second_owner = Album(16, finite=True, every_s=2.0)
    second_owner.restore([(name, Picture(0.0, pts_s, kind=PictureKind.REGULAR)) for name, pts_s in first.there.items()])
    again = Kept(second_owner)
    again.there, again._last = dict(first.there), 1000  # noqa: SLF001 the test's own
    for second in range(90, 400):
        again.regular(second)
    assert again.most <= 8
    assert max(np.diff(sorted(again.there.values()))) <= 100


def test_a_picture_is_worth_a_look_now_and_then_and_where_the_best_class_changes() -> None:
    gate = PictureGate(2.0)
    best = [3, 3, 3, 5, 5, 3, 3, 3, 3, 3]
    assert [gate.wants(number * 0.5, one) for number, one in enumerate(best)] == [
        *(True, False, False, True, False, True),
        *(False, False, False, True),
    ]


def test_a_label_gets_the_nearest_picture_of_its_region() -> None:
    pictures = [Picture(0.0, 1.0, "door"), Picture(0.0, 2.0, "yard"), Picture(0.0, 3.0, "door")]
    found = nearest(pictures, "door", 2.2)
    assert found is not None
    assert found.pts_s == 3.0
    assert nearest(pictures, "roof", 2.2) is None


@pytest.mark.parametrize(
    ("shape", "longer_px", "size"),
    [
        ((299, 299), 160, (160, 160)),
        ((400, 200), 100, (100, 50)),
        ((96, 96), 160, (96, 96)),
        ((700, 10), 100, (100, 2)),
    ],
)
def test_a_picture_becomes_a_small_file(shape: tuple[int, int], longer_px: int, size: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[:, :, 0] = 250
    found = cv2.imdecode(np.frombuffer(to_jpeg(picture, longer_px, 65_536), np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    assert abs(found.shape[0] - size[0]) <= 1
    assert abs(found.shape[1] - size[1]) <= 1
    blue, _, red = found.reshape(-1, 3).mean(axis=0)
    assert red > 240
    assert blue < 10


def test_no_file_is_larger_than_it_may_be() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (320, 320, 3), np.uint8)
    assert 10_000 < len(to_jpeg(noise, 320, 65_536)) <= 65_536
    assert to_jpeg(noise, 320, 1000) == b""
