"""Frames that are shrunk before they are converted are what they would be if they were converted first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from streamtag.core.bundle import Crop, Preprocessing
from streamtag.core.job import Region
from streamtag.ingest.colours import Converter
from streamtag.ingest.geometry import as_bgr, fit
from streamtag.ingest.planes import Planes

MANY = 10**8  # pixels
# Of RGB's 255. FFmpeg takes each colour for two or four pixels without looking at those beside it, and rounds down.
MEAN_OFF, MOST_OFF = 2.5, 12


def frame(
    pixels: str,
    width: int = 642,
    height: int = 362,
    colours: Colorspace = Colorspace.ITU709,
    full: ColorRange = ColorRange.MPEG,
) -> VideoFrame:
    """Patches of all colours with soft edges."""
    drawn = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    return VideoFrame.from_ndarray(drawn, format="bgr24").reformat(
        format=pixels, dst_colorspace=colours, dst_color_range=full, interpolation="BICUBIC"
    )


def off(one: VideoFrame, crop: Crop = "center", size: int = 64, region: Region | None = None) -> np.ndarray:
    """How far the network's input is from that of the frame which is converted first."""
    converter = Converter("film", MANY)
    planes = converter.planes(one)
    assert isinstance(planes, Planes)
    np.testing.assert_array_equal(as_bgr(planes), converter.picture(one))
    found, expected = (np.zeros((size, size, 3), np.uint8) for _ in range(2))
    fit(planes, Preprocessing(size, crop=crop), found, region)
    fit(converter.picture(one), Preprocessing(size, crop=crop), expected, region)
    assert expected.std() > 20
    return np.abs(found.astype(int) - expected)


@pytest.mark.parametrize("colours", [Colorspace.ITU709, Colorspace.ITU601, Colorspace.BT2020, Colorspace.SMPTE240M])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"])
def test_colours_are_those_of_the_frame(pixels: str, colours: Colorspace) -> None:
    found = off(frame(pixels, colours=colours, full=ColorRange.JPEG if "j" in pixels else ColorRange.MPEG))
    assert found.mean() < MEAN_OFF
    assert found.max() <= MOST_OFF


def test_colours_of_which_nothing_is_said_are_those_that_ffmpeg_takes_them_for() -> None:
    silent = frame("yuv420p")
    silent.colorspace, silent.color_range = 2, 0
    assert off(silent).mean() < MEAN_OFF


@pytest.mark.parametrize("crop", ["center", "squash", "pad"])
@pytest.mark.parametrize("size", [24, 50, 64, 100, 170])
@pytest.mark.parametrize("shape", [(640, 360), (641, 361), (643, 363), (360, 642)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p"])
def test_parts_are_where_they_are_in_the_frame(pixels: str, shape: tuple[int, int], size: int, crop: Crop) -> None:
    """Blocks of two to fifteen pixels, and edges that lie within the pixels of a colour."""
    found = off(frame(pixels, *shape), crop, size)
    assert found.mean() < MEAN_OFF
    assert np.percentile(found, 99) <= MOST_OFF


@pytest.mark.parametrize("region", [(0.1, 0.1, 0.5, 0.5), (0.335, 0.257, 0.3, 0.7), (0.8, 0.7, 0.2, 0.3)])
def test_regions_are_where_they_are_in_the_frame(region: Region) -> None:
    found = off(frame("yuv420p", 1283, 723), "squash", 60, region)
    assert found.mean() < MEAN_OFF
    assert np.percentile(found, 99) <= MOST_OFF


@pytest.mark.parametrize("pixels", ["yuv420p10le", "gray", "nv12", "rgb24", "gbrp", "yuva420p"])
def test_of_other_frames_all_is_converted(pixels: str) -> None:
    assert isinstance(Converter("film", MANY).planes(frame(pixels)), np.ndarray)


def test_what_is_hardly_shrunk_is_converted_first() -> None:
    """Colours would be blurred that FFmpeg keeps."""
    assert off(frame("yuv420p"), "squash", 200).max() == 0


def test_a_tiny_frame_has_planes_too() -> None:
    converter = Converter("film", MANY)
    for width, height in ((1, 1), (2, 3), (3, 2), (17, 1)):
        out = np.zeros((8, 8, 3), np.uint8)
        for region in (None, (0.99, 0.99, 0.01, 0.01)):
            fit(converter.planes(frame("yuv420p", width, height)), Preprocessing(8, crop="squash"), out, region)
        assert out.any()
