"""Labelled material: what is a class, a group, a span; and splits that keep groups whole."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.records import Sample
from streamtag.errors import ConfigError
from streamtag.networks.groups import imagenet_classes
from streamtag.tools.dataset import LabelledItem, by_item, other_pictures, read_folders, read_spans, split
from streamtag.tools.evaluation.pictures import labelled
from streamtag.tools.frames import InputFrame, Unreadable, in_batches


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_folders_are_classes_and_subfolders_are_groups(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/clip a/1.png", "cat/clip a/2.png", "dog/v.mp4", "dog/notes.txt", ".hidden/1.jpg")
    found = read_folders(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.counts() == {"cat": 3, "dog": 1}
    groups = {item.path.name + item.path.parent.name: item.group for item in found.items}
    assert groups["1.pngclip a"] == groups["2.pngclip a"] != groups["1.jpgcat"]
    assert [item.is_video for item in found.items if item.label == "dog"] == [True]


def test_folders_of_classes_without_a_picture_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "notes/read me.txt", ".hidden/1.jpg")
    with pytest.raises(ConfigError, match=r"only 'cat' in it \(none in notes\); at least two"):
        read_folders(tmp_path)
    touch(tmp_path, "dog/1.jpg")
    assert read_folders(tmp_path).empty == ("notes",)


def test_a_link_to_nothing_is_told_of_when_it_is_read_and_what_is_no_file_is_no_material(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/folder.jpg/notes.txt")
    (tmp_path / "cat" / "2.jpg").symlink_to("gone.jpg")
    os.mkfifo(tmp_path / "dog" / "pipe.jpg")
    assert read_folders(tmp_path).counts() == {"cat": 2, "dog": 1}


def test_hidden_files_are_no_material(tmp_path: Path) -> None:
    """Such as ``._1.jpg``, which macOS puts beside each file of a foreign disk, and folders of previews."""
    touch(tmp_path, "cat/1.jpg", "cat/._1.jpg", "cat/.previews/1.jpg", "dog/v.mp4", "dog/._v.mp4")
    assert read_folders(tmp_path).counts() == {"cat": 1, "dog": 1}
    touch(tmp_path / ".of a disk", *(f"{number}.jpg" for number in range(5)), "._1.jpg", ".previews/1.jpg")
    assert len(other_pictures(tmp_path / ".of a disk")) == 5
    names = (name for name, _ in imagenet_classes())
    touch(tmp_path / "flat", *(f"{wnid}.jpg" for wnid in itertools.islice(names, 2)), "._x.jpg", ".previews/1.jpg")
    labels = [name for _, name in imagenet_classes()]
    assert len(labelled(tmp_path / "flat", None, tmp_path, labels).items) == 2


def test_a_group_can_be_read_from_the_name(tmp_path: Path) -> None:
    touch(tmp_path, "cat/tom_1.jpg", "cat/tom_2.jpg", "dog/rex_1.jpg")
    assert [item.group for item in read_folders(tmp_path, r"^([a-z]+)_").items] == ["tom", "tom", "rex"]
    for expression, names in (("(", "--group-by"), ("tom", "parentheses"), (r"(\d{4})", "does not match")):
        with pytest.raises(ConfigError, match=names):
            read_folders(tmp_path, expression)


@pytest.mark.parametrize(
    ("names", "says"), [((), "no picture or video"), (("cat/1.jpg",), "only 'cat'"), (("1.jpg", "2.jpg"), "no picture")]
)
def test_too_few_classes_are_named(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_folders(touch(tmp_path, *names))
    with pytest.raises(ConfigError, match="no such folder"):
        read_folders(tmp_path / "none")
    with pytest.raises(ConfigError, match="no name in UTF-8"):
        read_folders(touch(tmp_path, "dog/1.jpg", os.fsdecode(b"\xff/1.jpg")))


def test_spans_are_read_and_wrong_rows_are_named_by_their_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    table = tmp_path / "spans.csv"
    head = "video,start_s,end_s,label\n"
    table.write_text(head + "a.mp4,0,2.5,cat\nb.mp4,1,2,dog\n", encoding="utf-8-sig")
    found = read_spans(table)
    assert [(item.start_s, item.end_s, item.label) for item in found.items] == [(0, 2.5, "cat"), (1, 2, "dog")]
    for row, says in (
        ("c.mp4,0,1,cat", r"line 2: no such video: .*c\.mp4"),
        ("a.mp4,x,1,cat", "line 2: start_s and end_s must be numbers"),
        ("a.mp4,2,1,cat", "line 2: start_s 2.0 must not"),
        ("a.mp4,0,1, ", "line 2: the label is empty"),
    ):
        table.write_text(head + row + "\n")
        with pytest.raises(ConfigError, match=says):
            read_spans(table)
    table.write_text("video,label\n")
    with pytest.raises(ConfigError, match="lacks the columns start_s, end_s"):
        read_spans(table)


@given(
    groups=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=6, max_size=40),
    share=st.floats(0.1, 0.5),
    seed=st.integers(0, 100),
)
def test_a_group_is_never_on_both_sides(groups: list[tuple[str, int]], share: float, seed: int) -> None:
    items = [
        LabelledItem(Path(f"{number}-{copy}.jpg"), label, f"g{number}")
        for number, (label, size) in enumerate(groups)
        for copy in range(size)
    ]
    try:
        kept, held = split(items, share, seed)
    except ConfigError as error:
        assert re.search("too few groups|cannot be on both sides", str(error))  # noqa: PT017  # some draws can be split
        return
    assert sorted(map(str, kept + held)) == sorted(map(str, items))
    assert not {item.group for item in kept} & {item.group for item in held}
    assert {item.label for item in kept} == {item.label for item in held} == {item.label for item in items}
    assert split(items, share, seed) == (kept, held), "the same seed gives the same split"


def test_one_video_of_a_class_cannot_be_split() -> None:
    items = [LabelledItem(Path(f"{n}.jpg"), "cat", "one video") for n in range(9)]
    items += [LabelledItem(Path(f"d{n}.jpg"), "dog", str(n)) for n in range(9)]
    with pytest.raises(ConfigError, match=r"too few groups to hold some out: cat \(1\)"):
        split(items, 0.2, 1)


def frame(path: str, pts_s: float) -> InputFrame:
    return InputFrame(path, Sample(int(pts_s * 10), pts_s, 0.0, 0, 0.0, 1, 1), np.full((2, 2, 3), pts_s, np.uint8))


def test_the_walk_over_items_reads_pictures_at_once_and_of_a_video_its_span() -> None:
    """Nothing of a video is read after the span, and a span in which no frame lies is said to be unreadable."""
    reads: list[list[str]] = []

    def read(paths: list[str]) -> Iterator[InputFrame | Unreadable]:
        reads.append(paths)
        if paths == ["v.mp4"]:
            for number in range(100):
                assert number <= 41, "read on after the end of every span"
                yield frame("v.mp4", number / 10)
            return
        yield from (Unreadable(path, "broken") if path == "b.jpg" else frame(path, 0.0) for path in paths)

    items = [
        LabelledItem(Path("a.jpg"), "cat", "a"),
        LabelledItem(Path("v.mp4"), "dog", "v", 2.0, 2.3),
        LabelledItem(Path("b.jpg"), "cat", "b"),
        LabelledItem(Path("v.mp4"), "dog", "v", 4.01, 4.02),
    ]
    walked = list(by_item(items, read))
    assert reads == [["a.jpg", "b.jpg"], ["v.mp4"], ["v.mp4"]]
    assert [items.index(item) for item, _ in walked] == [0, 2, 1, 1, 1, 3]
    assert [event.sample.pts_s for _, event in walked if isinstance(event, InputFrame)] == [0.0, 2.0, 2.1, 2.2]
    assert [event.detail for _, event in walked if isinstance(event, Unreadable)] == [
        "broken",
        "no frame of it lies in the span",
    ]


def test_frames_are_inferred_in_full_batches_and_in_order() -> None:
    sizes: list[int] = []

    def infer(frames: list[InputFrame]) -> list[float]:
        sizes.append(len(frames))
        return [one.sample.pts_s for one in frames]

    events: list[tuple[int, InputFrame | Unreadable]] = [(number, frame("v.mp4", number)) for number in range(7)]
    events.insert(5, (99, Unreadable("b.jpg", "broken")))
    found = list(in_batches(events, 3, infer))
    assert sizes == [3, 2, 2]
    assert [key for key, _ in found] == [0, 1, 2, 3, 4, 99, 5, 6]
    assert [outcome for key, outcome in found if key != 99] == [0, 1, 2, 3, 4, 5, 6]
