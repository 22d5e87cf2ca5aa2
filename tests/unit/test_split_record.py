"""What a bundle says of its training: which pictures were seen, wherever one stands."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from streamtag.errors import ConfigError
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.split_record import read_split, with_copies_together, write_split


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures and a video, each with a content of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "v.mp4"):
        (folder / name).write_text(name)
    return folder


def test_paths_are_the_same_from_any_folder(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, held_out = (LabelledItem(Path("photos") / name, "cat", name) for name in ("a.jpg", "b.jpg"))
    write_split(tmp_path, [train], [held_out])
    monkeypatch.chdir("/")
    split = read_split(tmp_path)
    assert split is not None
    assert [item.path for item in split.held_out] == [photos / "b.jpg"]
    assert split.unseen([LabelledItem(photos / name, "cat", "") for name in ("a.jpg", "b.jpg", "c.jpg")]) == (
        LabelledItem(photos / "b.jpg", "cat", ""),
        LabelledItem(photos / "c.jpg", "cat", ""),
    )


def test_a_copy_of_a_training_picture_is_known(photos: Path, tmp_path: Path) -> None:
    write_split(tmp_path, [LabelledItem(photos / "a.jpg", "cat", "a")], [])
    shutil.copy(photos / "a.jpg", tmp_path / "renamed.jpg")
    split = read_split(tmp_path)
    assert split is not None
    assert split.unseen([LabelledItem(tmp_path / "renamed.jpg", "cat", "")]) == ()


def test_a_name_that_is_no_text_is_kept(photos: Path, tmp_path: Path) -> None:
    odd = (photos / "a.jpg").rename(photos / os.fsdecode(b"\xff.jpg"))
    write_split(tmp_path, [], [LabelledItem(odd, "cat", "a")])
    split = read_split(tmp_path)
    assert split is not None
    assert [item.path for item in split.held_out] == [odd]


def test_copies_are_of_one_group_and_bring_theirs_along(photos: Path) -> None:
    """Also those of copies of copies; what only has the same size stands alone."""
    shutil.copy(photos / "a.jpg", photos / "copy.jpg")
    groups = {"a.jpg": "one", "b.jpg": "one", "copy.jpg": "two", "c.jpg": "two", "d.jpg": "three"}
    (photos / "d.jpg").write_text("c.jpx")
    found = with_copies_together([LabelledItem(photos / name, "cat", group) for name, group in groups.items()])
    assert [item.path.name for item in found] == list(groups)
    assert len({item.group for item in found[:4]}) == 1
    assert found[4].group == "three"


def test_of_a_video_the_spans_count(photos: Path, tmp_path: Path) -> None:
    video = photos / "v.mp4"
    write_split(tmp_path, [LabelledItem(video, "cat", "v", 0.0, 5.0)], [LabelledItem(video, "dog", "v", 5.0)])
    split = read_split(tmp_path)
    assert split is not None
    assert split.held_out[0].end_s == float("inf")
    spans = [LabelledItem(video, "cat", "v", start_s, start_s + 2) for start_s in (0.0, 4.0, 5.0, 9.0)]
    assert [item.start_s for item in split.unseen(spans)] == [5.0, 9.0]


def test_the_table_of_an_older_bundle_is_read_and_a_damaged_one_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text(f"path,label,group,side\n{photos / 'a.jpg'},cat,a,train\n")
    split = read_split(tmp_path)
    assert split is not None
    assert split.unseen([LabelledItem(photos / "a.jpg", "cat", "")]) == ()
    (tmp_path / "split.csv").write_text("path,label,group,side\nx.jpg,cat,a,somewhere\n")
    with pytest.raises(ConfigError, match="not what training writes"):
        read_split(tmp_path)
    assert read_split(photos) is None
