"""A bundle's folder has one writer at a time, and a writing that is interrupted leaves what was there."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.errors import ConfigError
from streamtag.networks import bundles
from streamtag.networks.bundle_file import UnknownFile, read_bundle_file, write_bundle_file
from streamtag.networks.bundles import read_bundle, sha256, write_bundle
from streamtag.tools.bundle_folder import held, put, staged


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() if path.is_file() else "" for path in sorted(folder.iterdir())}


def fill(folder: Path, text: str, *names: str) -> None:
    """A bundle as training writes it, of a network that nobody can build."""
    bundle = Bundle(text, "Xception", ("cat", "dog"), Preprocessing(96))
    (folder / f"{text}.h5").write_text(text)
    write_bundle(folder, bundle, folder / f"{text}.h5")
    for name in ("split.csv", "history.png", *names):
        (folder / name).write_text(text)


def refusal(folder: Path) -> str:
    try:
        with held(folder, force=True):
            return ""
    except ConfigError as error:
        return str(error)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    with held(tmp_path / "b", force=False), processes.Pool(1) as pool:
        assert "b: another command writes this bundle" in pool.apply(refusal, (tmp_path / "b",))
    assert refusal(tmp_path / "b") == ""
    assert not (tmp_path / "b").exists(), "nothing was written"


def test_a_bundle_that_is_there_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with pytest.raises(ConfigError, match=r"holds a bundle.*--force"), held(tmp_path, force=False):
        pass
    assert refusal(tmp_path) == ""


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/b: cannot be written: Not a directory; .*another folder"):
        held(tmp_path / "file" / "b", force=False).__enter__()


def test_what_was_there_stays_where_the_writing_is_interrupted(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    before = content(tmp_path)

    def interrupted() -> None:
        with staged(tmp_path) as new:
            fill(new, "new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert content(tmp_path) == before


def test_ctrl_c_while_the_files_take_their_places_comes_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "old")
    replace = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            os.kill(os.getpid(), signal.SIGINT)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path) as new:
        fill(new, "new")
    monkeypatch.undo()
    assert read_bundle(tmp_path).name == "new"
    assert content(tmp_path)["split.csv"] == content(tmp_path)["history.png"] == "new"


def test_what_another_network_was_trained_on_is_forgotten(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with staged(tmp_path) as new:
        fill(new, "new")
        (new / "split.csv").unlink()
        (new / "history.png").unlink()
    assert sorted(content(tmp_path)) == ["bundle.json", Path(read_bundle(tmp_path).weights).name]


def test_at_any_moment_there_is_a_whole_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another process would find it, or whoever comes after a kill, before and after each file that is moved."""
    fill(tmp_path, "old")
    seen = []
    replace, unlink = Path.replace, Path.unlink

    def look() -> None:
        if tmp_path.exists():
            split = (tmp_path / "split.csv").read_text() if (tmp_path / "split.csv").exists() else ""
            seen.append((read_bundle(tmp_path).name, split))

    def watched_replace(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        look()
        return moved

    def watched_unlink(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        look()

    monkeypatch.setattr(Path, "replace", watched_replace)
    monkeypatch.setattr(Path, "unlink", watched_unlink)
    with staged(tmp_path) as new:
        fill(new, "new")
    assert list(dict.fromkeys(seen)) == [("old", "old"), ("old", ""), ("new", ""), ("new", "new")]


def test_what_only_the_bundle_before_had_goes_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, "old", "my.keras", "notes.txt", "unknown.npy", "network-mine.keras")
    file = read_bundle_file(tmp_path)
    (tmp_path / file.weights).rename(tmp_path / "odd.h5")
    (tmp_path / "unknown-0123456789ab.npy").touch()  # of a command that was killed
    (tmp_path / ".new-abcd1234").mkdir()
    (tmp_path / ".new-abcd1234" / "network.weights.h5").touch()
    (tmp_path / ".new").mkdir()
    entry = UnknownFile(
        by="distance", threshold=1, width=1, file="unknown.npy", sha256=sha256(tmp_path / "unknown.npy"), auroc=1
    )
    write_bundle_file(tmp_path, file.model_copy(update={"weights": "odd.h5", "unknown": entry}))
    with held(tmp_path, force=True), staged(tmp_path) as new:
        fill(new, "new")
    mine = ["my.keras", "network-mine.keras", "notes.txt"]
    assert sorted(content(tmp_path)) == sorted(
        [".new", "bundle.json", "history.png", Path(read_bundle(tmp_path).weights).name, "split.csv", *mine]
    )


def test_a_bundle_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "old")

    def late(path: Path) -> str:
        monkeypatch.undo()
        with staged(tmp_path) as new:
            fill(new, "new")
        return sha256(path)

    monkeypatch.setattr(bundles, "sha256", late)
    assert read_bundle(tmp_path).name == "new"


def test_a_change_of_a_bundle_takes_what_it_had_before_away(tmp_path: Path) -> None:
    fill(tmp_path, "old", "network.int8-0123456789ab.xml", "network.int8-0123456789ab.bin")
    put(tmp_path, read_bundle_file(tmp_path).model_copy(update={"temperature": 2.0}))
    assert read_bundle(tmp_path).temperature == 2.0
    assert sorted(content(tmp_path)) == ["bundle.json", "history.png", "network.weights.h5", "split.csv"]
