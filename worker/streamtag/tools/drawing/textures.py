"""Textures that are no picture of anything: what stands in where nobody gives pictures of other things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

TEXTURES = "drawn textures"  # what they are called
SIZE = 256
EACH = 12  # of each kind


def write_textures(folder: Path) -> Iterator[Path]:
    """Draw them into a folder, the same ones each time."""
    generator = np.random.default_rng(7)
    for name, draw in _KINDS.items():
        for number in range(EACH):
            path = folder / f"{name}_{number}.png"
            cv2.imwrite(str(path), _coloured(draw(generator), generator))
            yield path


def _coloured(grey: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE) of 0 to 1 between two colours: (SIZE, SIZE, 3) uint8."""
    one, other = generator.uniform(0, 255, (2, 1, 1, 3))
    picture: np.ndarray = (one + (other - one) * grey[..., None]).astype(np.uint8)
    return picture


def _waves(generator: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    angle, count = generator.uniform(0, np.pi), generator.uniform(1, 40)
    waves: np.ndarray = 0.5 + 0.5 * np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle)))
    return waves


def _stripes(generator: np.random.Generator) -> np.ndarray:
    stripes: np.ndarray = (_waves(generator) > 0.5).astype(np.float64)
    return stripes


def _checks(generator: np.random.Generator) -> np.ndarray:
    checks: np.ndarray = np.abs(_stripes(generator) - _stripes(generator))
    return checks


def _clouds(generator: np.random.Generator) -> np.ndarray:
    coarse = generator.uniform(0, 1, (int(generator.integers(3, 24)),) * 2)
    clouds: np.ndarray = np.clip(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)
    return clouds


def _noise(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(0, 1, (SIZE, SIZE))


_KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "waves": _waves,
    "stripes": _stripes,
    "checks": _checks,
    "clouds": _clouds,
    "noise": _noise,
}
