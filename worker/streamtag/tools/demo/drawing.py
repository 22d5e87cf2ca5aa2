"""Drawn clips: one moving shape over a moving texture, or nothing. Everything follows from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.segments import Segment
from streamtag.errors import StreamtagError

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
NOTHING = "nothing"
LABELS = (*SHAPES, NOTHING)
CLIP_FPS = 25.0
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates: motion without jitter


class Scene:
    """One shape, its texture and its path.

    Args:
        label: one of ``LABELS``.
        seed: everything else follows from it.
        size: (width, height) of the frames, pixels.
    """

    def __init__(self, label: str, seed: int, size: tuple[int, int] = (640, 360)) -> None:
        generator = np.random.default_rng(seed)
        self.label = label
        self._width, self._height = size
        self._texture = _texture(generator, self._width + 96, self._height + 96)
        self._drift = generator.uniform(-12, 12, 2)
        # Within what a central crop of 0.875 of the height leaves visible.
        self._radius = self._height * generator.uniform(0.14, 0.26)
        self._centre = np.array([self._width, self._height]) / 2 + generator.uniform(-0.1, 0.1, 2) * self._height
        self._swing = generator.uniform(0.02, 0.08, 2) * self._height
        self._rate = generator.uniform(0.3, 1.2, 2)
        self._phase = generator.uniform(0, 2 * math.pi, 2)
        self._angle, self._spin = generator.uniform(0, 2 * math.pi), generator.uniform(-1.0, 1.0)
        self._colour = _contrasting(generator, self._texture)
        self._noise = generator.uniform(0, 6)
        self._noise_seed = int(generator.integers(2**31))

    def frame(self, time_s: float) -> np.ndarray:
        """(height, width, 3) uint8 BGR at a time within the scene."""
        left, top = (int(48 + drift * math.sin(time_s / 3)) for drift in self._drift)
        picture = self._texture[top : top + self._height, left : left + self._width].copy()
        if self.label != NOTHING:
            centre = self._centre + self._swing * np.sin(2 * math.pi * self._rate * time_s + self._phase)
            _draw(picture, self.label, centre, self._radius, self._angle + self._spin * time_s, self._colour)
        noise = np.random.default_rng(self._noise_seed + int(time_s * 1000)).normal(0, self._noise, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)


def plan(seconds: float, seed: int) -> list[Segment]:
    """The ground truth of a clip: segments of about 2.5 s, never the same label twice in a row."""
    generator = np.random.default_rng(seed)
    segments: list[Segment] = []
    count = max(1, round(seconds / 2.5))
    order: list[str] = []
    while len(order) < count:
        deck = [str(label) for label in generator.permutation(LABELS)]
        order += deck[1:] + deck[:1] if order and deck[0] == order[-1] else deck
    for number, label in enumerate(order[:count]):
        segments.append(Segment(label, round(number * seconds / count, 3), round((number + 1) * seconds / count, 3)))
    return segments


def frames(
    segments: list[Segment], seed: int, size: tuple[int, int] = (640, 360), fps: float = CLIP_FPS
) -> Iterator[np.ndarray]:
    """The frames of a clip, (height, width, 3) uint8 BGR."""
    number = 0
    for place, segment in enumerate(segments):
        scene = Scene(segment.label, seed * 1000 + place, size)
        while number / fps < segment.end_s - 1e-9:
            yield scene.frame(number / fps - segment.start_s)
            number += 1


def write_clip(path: Path, segments: list[Segment], seed: int) -> None:
    """Encode the frames of a plan.

    Raises:
        StreamtagError: the file cannot be written.
    """
    write_frames(path, frames(segments, seed))


def write_frames(path: Path, pictures: Iterator[np.ndarray], size: tuple[int, int] = (640, 360)) -> None:
    """Encode frames at ``CLIP_FPS`` (MPEG-4 part 2, which OpenCV's wheels can write).

    Raises:
        StreamtagError: the file cannot be written.
    """
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), CLIP_FPS, size)
    if not writer.isOpened():
        raise StreamtagError(f"{path}: cannot be written; is the folder there and the disk not full?")
    for picture in pictures:
        writer.write(picture)
    writer.release()


def _texture(generator: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A smooth gradient, with blotches or stripes on it."""
    corners = generator.uniform(20, 235, (2, 2, 3)).astype(np.float32)
    base = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    kind = generator.integers(3)
    if kind == 0:
        grain = generator.normal(0, 1, (height // 16 + 2, width // 16 + 2, 3)).astype(np.float32)
        base += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC) * generator.uniform(5, 28)
    elif kind == 1:
        angle, period = generator.uniform(0, math.pi), generator.uniform(10, 60)
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        wave = np.sin((xs * math.cos(angle) + ys * math.sin(angle)) * (2 * math.pi / period))
        base += wave[..., None] * generator.uniform(5, 25, 3).astype(np.float32)
    else:
        grain = generator.normal(0, generator.uniform(3, 14), (height, width, 1)).astype(np.float32)
        base += cv2.GaussianBlur(grain, (0, 0), generator.uniform(0.8, 3))[..., None]
    clipped: np.ndarray = np.clip(base, 0, 255)
    return clipped


def _contrasting(generator: np.random.Generator, texture: np.ndarray) -> tuple[float, float, float]:
    """A colour that can be told from the texture's mean, by at least 70 of 255 in total."""
    mean = texture.mean(axis=(0, 1))
    while True:
        colour = generator.uniform(0, 255, 3)
        if np.linalg.norm(colour - mean) > 70:
            return float(colour[0]), float(colour[1]), float(colour[2])


def _draw(
    picture: np.ndarray, label: str, centre: np.ndarray, radius: float, angle: float, colour: tuple[float, float, float]
) -> None:
    scale = 1 << _SHIFT
    middle = (int(centre[0] * scale), int(centre[1] * scale))
    if label == "circle":
        cv2.circle(picture, middle, int(radius * scale), colour, -1, cv2.LINE_AA, _SHIFT)
    elif label == "ring":
        cv2.circle(picture, middle, int(radius * 0.8 * scale), colour, max(2, int(radius * 0.35)), cv2.LINE_AA, _SHIFT)
    else:
        points = _outline(label) * radius
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        corners = ((points @ turn.T + centre) * scale).astype(np.int32)
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA, _SHIFT)


def _outline(label: str) -> np.ndarray:
    """Corners of a shape within the unit circle, (n, 2)."""
    if label == "cross":
        arm = 0.33
        quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
        turned = [[(x, y), (-y, x), (-x, -y), (y, -x)] for x, y in quarter]
        return np.array([turned[corner][side] for side in range(4) for corner in range(3)])
    count, inner = {"square": (4, 1.0), "triangle": (3, 1.0), "star": (5, 0.42)}[label]
    step = math.pi / count
    radii = [1.0 if number % 2 == 0 else inner for number in range(2 * count)]
    corners = [(r * math.cos(step * number), r * math.sin(step * number)) for number, r in enumerate(radii)]
    return np.array(corners if label == "star" else corners[::2])
