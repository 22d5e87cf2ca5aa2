"""Pictures come out upright, whatever their format and however they are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.support.stream_reading import read

# What is stored for the EXIF orientations 2 to 8.
STORED = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270"]


@pytest.mark.parametrize("group", ["Landscape", "Portrait"])
def test_photos_come_out_upright_by_their_exif(shared_data: Path, group: str) -> None:
    folder = shared_data / "images/exif_orientation"
    pictures = read(folder / f"{group}_*.jpg").pictures
    assert len(pictures) == 9
    for picture in pictures[1:]:
        assert np.abs(picture.astype(int) - pictures[0].astype(int)).mean() < 12


@pytest.mark.parametrize("suffix", ["avif", "png", "webp", "tif"])
def test_pictures_of_other_formats_come_out_upright_too(suffix: str, tmp_path: Path) -> None:
    upright = Image.linear_gradient("L").convert("RGB").resize((90, 60))
    upright.save(tmp_path / f"1.{suffix}")
    for number, name in enumerate(STORED, start=2):
        tag = Image.Exif()
        tag[ExifTags.Base.Orientation] = number
        upright.transpose(Image.Transpose[name]).save(tmp_path / f"{number}.{suffix}", exif=tag)
    first, *others = read(tmp_path / f"*.{suffix}").pictures
    assert [float(np.abs(one.astype(int) - first).mean()) < 3 for one in others] == [True] * 7
