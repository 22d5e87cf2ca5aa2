"""Geometry: what part of a picture the network sees."""

from __future__ import annotations

import numpy as np
import pytest
from streamtag.core.bundle import Crop, Preprocessing
from streamtag.ingest.geometry import as_bgr, cut, fit


def fitted(picture: np.ndarray, crop: Crop, size: int = 32) -> np.ndarray:
    out = np.zeros((size, size, 3), np.uint8)
    fit(picture, Preprocessing(size, crop=crop), out)
    return out


def test_colours_become_rgb() -> None:
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 0] = 200
    assert fitted(blue, "center")[16, 16].tolist() == [0, 0, 200]


def test_centre_crop_sees_the_middle_seven_eighths_of_the_shorter_side() -> None:
    picture = np.full((160, 320, 3), 255, np.uint8)
    picture[10:150, 90:230] = 0  # exactly the central 140 x 140
    assert fitted(picture, "center").max() == 0
    picture[10, 90:230] = 255
    assert fitted(picture, "center").max() > 0


def test_squash_sees_all_of_it_and_pad_keeps_its_shape() -> None:
    picture = np.full((100, 200, 3), 255, np.uint8)
    assert fitted(picture, "squash").min() == 255
    padded = fitted(picture, "pad")
    assert padded[8:24].min() == 255
    assert padded[:8].max() == padded[24:].max() == 0


@pytest.mark.parametrize("crop", ["center", "squash", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (31, 33), (33, 640), (2000, 9), (1080, 1920)])
def test_any_size_fits_and_a_plain_colour_stays_itself(crop: Crop, shape: tuple[int, int]) -> None:
    out = fitted(np.full((*shape, 3), 77, np.uint8), crop)
    assert set(np.unique(out)) <= ({77} if crop != "pad" else {0, 77})
    assert 77 in out


def test_shrinking_averages_and_does_not_alias() -> None:
    """A fine checkerboard becomes grey; linear interpolation alone would show stripes."""
    checks = np.indices((448, 448)).sum(axis=0) % 2 * 255
    out = fitted(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), "squash", 64)
    assert 118 < out.min() <= out.max() < 138


def test_grey_transparent_and_deep_pictures_are_taken() -> None:
    assert as_bgr(np.zeros((4, 4), np.uint8)).shape == (4, 4, 3)
    assert as_bgr(np.zeros((4, 4, 4), np.uint8)).shape == (4, 4, 3)
    assert as_bgr(np.full((4, 4, 3), 0xFF00, np.uint16))[0, 0, 0] == 0xFF


def test_a_region_takes_the_place_of_the_picture() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[50:, 100:] = 255
    out = np.zeros((32, 32, 3), np.uint8)
    fit(picture, Preprocessing(32, crop="squash"), out, (0.5, 0.5, 0.5, 0.5))
    assert out.min() == 255
    fit(picture, Preprocessing(32, crop="squash"), out, (0.0, 0.0, 0.5, 1.0))
    assert out.max() == 0


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5)])
def test_a_region_of_a_tiny_picture_has_a_pixel(size: tuple[int, int]) -> None:
    for region in ((0.99, 0.99, 0.01, 0.01), (0.0, 0.5, 0.01, 0.5), (1 / 3, 1 / 3, 1 / 3, 1 / 3)):
        assert min(cut(np.zeros((*size, 3), np.uint8), region).shape[:2]) >= 1
