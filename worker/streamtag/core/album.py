"""Which pictures of a job are kept: of what was seen, and of a film at even distances all over it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class PictureKind(StrEnum):
    """Why a picture is in the album."""

    ENTER = "enter"  # a label became active
    REGULAR = "regular"  # one of those all over a film


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of a job, as the network saw it.

    Attributes:
        jpeg: the file; empty where it is not read with the rest.
    """

    at_unix_s: float  # of a live job its capture; of a finite one when it was kept
    pts_s: float
    region: str = ""  # of the frame, where the job names some
    label: str = ""  # that became active
    kind: PictureKind | None = None  # None for the newest, which is in no album
    jpeg: bytes = field(default=b"", repr=False)


class PictureGate:
    """Whether the picture of a sample of one region of a job is worth keeping at hand.

    It is every so often, and where the best class is another one: a label that enters was the best of a sample not long
    before, most of the time.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_pts_s = -math.inf
        self._best = -1

    def wants(self, pts_s: float, best: int) -> bool:
        """
        Args:
            best: class of the sample with the highest score.
        """
        if pts_s < self._next_pts_s and best == self._best:
            return False
        self._next_pts_s, self._best = pts_s + self._every_s, best
        return True


@dataclass(slots=True, eq=False)
class Place:
    """Of one picture in an album."""

    pts_s: float
    name: str = ""  # the id that Redis gave it, once it has it
    is_gone: bool = False  # for another that came


class Album:
    """What there is of one job, and what has to go for something new.

    Of a finite job half is for regular pictures: while there is room one each ``every_s``; when it is full every second
    one goes, and they come half as often from then on. So the whole film is covered, however long it is.

    Args:
        most: pictures kept.
        every_s: of presentation time between regular pictures, at first.
    """

    def __init__(self, most: int, finite: bool, every_s: float) -> None:
        self._most_regular = most // 2 if finite else 0
        self._most_entered = most - self._most_regular
        self._interval_s = every_s
        self._regular: list[Place] = []  # in order of time
        self._entered: list[Place] = []
        self._gone: list[Place] = []

    def restore(self, entries: Sequence[tuple[str, Picture]]) -> None:
        """Go on with the entries that another owner left, by their ids."""
        for name, picture in entries:
            kept = self._regular if picture.kind is PictureKind.REGULAR else self._entered
            kept.append(Place(picture.pts_s, name))
        self._regular.sort(key=lambda place: place.pts_s)
        if len(self._regular) > 1:
            self._interval_s = max(self._interval_s, self._regular[1].pts_s - self._regular[0].pts_s)

    def regular(self, pts_s: float) -> Place | None:
        """A place for a picture of this time, where one is due."""
        if not self._most_regular:
            return None
        while self._is_due(pts_s) and len(self._regular) >= self._most_regular:
            if self._most_regular == 1:
                return None
            self._remove(self._regular[1::2])
            self._regular = self._regular[::2]
            self._interval_s *= 2
        return self._placed(self._regular, pts_s) if self._is_due(pts_s) else None

    def entered(self, pts_s: float) -> Place | None:
        """A place for a picture of a label that became active at this time."""
        if not self._most_entered:
            return None
        while len(self._entered) >= self._most_entered:
            self._remove([self._entered.pop(0)])
        return self._placed(self._entered, pts_s)

    @property
    def gone(self) -> list[str]:
        """The ids that Redis is to remove."""
        return [place.name for place in self._gone if place.name]

    def removed(self, names: Collection[str]) -> None:
        """Redis has removed these; what never had an id is nothing to remove."""
        self._gone = [place for place in self._gone if place.name and place.name not in names]

    def _is_due(self, pts_s: float) -> bool:
        return not self._regular or pts_s >= self._regular[-1].pts_s + self._interval_s

    def _placed(self, kept: list[Place], pts_s: float) -> Place:
        place = Place(pts_s)
        kept.append(place)
        return place

    def _remove(self, places: Sequence[Place]) -> None:
        for place in places:
            place.is_gone = True
            self._gone.append(place)


def nearest(pictures: Sequence[Picture], region: str, pts_s: float) -> Picture | None:
    """The picture of a region that was taken closest to a time; None where there is none."""
    of_region = [picture for picture in pictures if picture.region == region]
    return min(of_region, key=lambda picture: abs(picture.pts_s - pts_s), default=None)
