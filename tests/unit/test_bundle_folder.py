"""A bundle's folder has one writer at a time, and a writing that is interrupted leaves what was there."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from streamtag.errors import ConfigError
from streamtag.tools.bundle_folder import held, staged


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def fill(folder: Path, text: str) -> None:
    for name in ("bundle.json", "network.weights.h5", "split.csv"):
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
        os.kill(os.getpid(), signal.SIGINT)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path) as new:
        fill(new, "new")
    assert set(content(tmp_path).values()) == {"new"}


def test_what_another_network_was_trained_on_is_forgotten(tmp_path: Path) -> None:
    fill(tmp_path, "old")
    with staged(tmp_path) as new:
        (new / "bundle.json").write_text("new")
    assert content(tmp_path) == {"bundle.json": "new", "network.weights.h5": "old"}
