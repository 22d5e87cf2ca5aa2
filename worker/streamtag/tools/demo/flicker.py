"""The flicker set: drawn clips whose raw labels jump about, to measure smoothing on. Everything follows from a seed.

For a moment now and then another shape stands in the shape's place, it vanishes, or it fades half into another one.
Two clips of three keep one background all through, as a fixed camera does; the third cuts at each change of shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.segments import Segment
from streamtag.tools.demo.drawing import CLIP_FPS, LABELS, NOTHING, SHAPES, Scene, write_frames

CLIPS = 3
SECONDS = 60.0
SEGMENT_S = (5.0, 9.0)
SIZE = (320, 180)  # pixels; the demo network sees 96 of them
DISTURBED_PER_S = 2.0
DISTURBANCE_FRAMES = (1, 6)  # at 25 frames a second: one sample of five a second, seldom two


def write_set(
    folder: Path, clips: int = CLIPS, seconds: float = SECONDS, seed: int = 500
) -> Iterator[tuple[Path, list[Segment]]]:
    """Each clip as it is written, with its truth.

    Raises:
        StreamtagError: a file cannot be written.
    """
    for number in range(clips):
        generator = np.random.default_rng(seed + number)
        segments = _plan(generator, seconds)
        path = folder / f"flicker-{number + 1}.mp4"
        write_frames(path, _frames(segments, generator, seed + number, cuts=number % 3 == 2), SIZE)
        yield path, segments


def _plan(generator: np.random.Generator, seconds: float) -> list[Segment]:
    segments: list[Segment] = []
    at_s = 0.0
    while at_s < seconds - SEGMENT_S[0]:
        choices = [label for label in LABELS if not segments or label != segments[-1].label]
        end_s = round(min(seconds, at_s + generator.uniform(*SEGMENT_S)), 2)
        segments.append(Segment(str(generator.choice(choices)), at_s, end_s))
        at_s = end_s
    return segments


def _frames(segments: list[Segment], generator: np.random.Generator, seed: int, cuts: bool) -> Iterator[np.ndarray]:
    number, until = 0, -1
    other, share = NOTHING, 1.0
    for place, segment in enumerate(segments):
        scene_seed = seed * 1000 + (place if cuts else 0)
        # With the same seed but for the label, only the shape differs.
        scenes = {label: Scene(label, scene_seed, SIZE) for label in LABELS}
        while number / CLIP_FPS < segment.end_s - 1e-9:
            time_s = number / CLIP_FPS - (segment.start_s if cuts else 0.0)
            picture = scenes[segment.label].frame(time_s)
            if number > until and generator.random() < DISTURBED_PER_S / CLIP_FPS:
                until = number + int(generator.integers(*DISTURBANCE_FRAMES))
                other = str(generator.choice([NOTHING, *SHAPES]))
                share = float(generator.choice([1.0, 0.6]))
            if number <= until:
                picture = cv2.addWeighted(scenes[other].frame(time_s), share, picture, 1 - share, 0)
            yield picture
            number += 1
