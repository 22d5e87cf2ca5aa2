"""Downloads of weights, against a real server: whole and checked, or a clear error and no half file."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from streamtag.errors import ConfigError
from streamtag.networks.building import build
from streamtag.networks.registry import NAMES, converted, ensure_weights, resolve
from streamtag.networks.specs import SPECS
from streamtag.networks.weights import fetching
from streamtag.networks.weights.fetching import Download, FetchFailed, fetch
from streamtag.settings import ModelSettings

from tests.support import RedisServer, json_lines, run_cli, settings_for
from tests.support.limits import limited
from tests.support.web import WebServer

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def web(web_server: WebServer) -> WebServer:
    (web_server.folder / "w.h5").write_bytes(CONTENT)
    return web_server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("streamtag.networks.weights.fetching.time.sleep", lambda seconds: None)
    monkeypatch.setattr(fetching, "CHUNK_BYTES", 65_536)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def download(web: WebServer, digest: str = "") -> Download:
    return Download(f"{web.url}/w.h5", digest or f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", 3)


def test_a_file_arrives_whole_with_its_progress(web: WebServer, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = fetch(download(web), tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert names(path.parent) == ["w.h5"]
    assert fetch(download(web), path.parent) == path
    assert len(web.requests) == 1, "what is there is not downloaded again"


def test_a_broken_download_goes_on_where_it_broke(web: WebServer, tmp_path: Path) -> None:
    web.break_after = 1_300_000
    path = fetch(download(web), tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    ranges = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for _, wanted in web.requests]
    assert len(ranges) == 3
    assert 0 == ranges[0] < ranges[1] < ranges[2], "each request asks for the rest only"


def test_what_was_received_serves_the_next_try(web: WebServer, tmp_path: Path) -> None:
    web.break_after = 400_000
    with pytest.raises(FetchFailed, match=r"cannot be downloaded.*MB are kept"):
        fetch(download(web), tmp_path / "cache")
    assert not (tmp_path / "cache" / "w.h5").exists()
    kept = (tmp_path / "cache" / "w.h5.part").stat().st_size
    assert kept > 1_000_000
    web.break_after = 0
    web.requests.clear()
    assert fetch(download(web), tmp_path / "cache").read_bytes() == CONTENT
    assert web.requests == [("/w.h5", f"bytes={kept}-")]
    assert names(tmp_path / "cache") == ["w.h5"]


def test_a_server_without_ranges_starts_anew(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "w.h5.part").write_bytes(CONTENT[:1000])
    web.ranges = False
    assert fetch(download(web), tmp_path / "cache").read_bytes() == CONTENT


def test_something_else_than_was_published_is_deleted(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="is not what was published"):
        fetch(download(web, "md5:" + "0" * 32), tmp_path / "cache")
    assert names(tmp_path / "cache") == []


def test_a_missing_file_and_a_dead_server_name_the_remedy(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "web" / "w.h5").unlink()
    with pytest.raises(FetchFailed, match=r"404.*put it at .*cache/w\.h5.*--weights"):
        fetch(download(web), tmp_path / "cache")
    dead = Download("http://user:secret@127.0.0.1:9/w.h5", "md5:0", 3)
    with pytest.raises(FetchFailed, match="cannot be downloaded") as caught:
        fetch(dead, tmp_path / "cache")
    assert "secret" not in str(caught.value)
    assert names(tmp_path / "cache") == []


def test_a_full_disk_is_named_and_nothing_is_left(web: WebServer, tmp_path: Path) -> None:
    """A real file system of one megabyte, filled by a server that does not say how much is to come."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        with pytest.raises(FetchFailed, match=r"cannot be stored: .*make room"):
            fetch(download(web), small / "cache")
        assert names(small / "cache") == []
        # Without the look ahead: the disk fills while it is written.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamtag.networks.weights.fetching.shutil.disk_usage", lambda folder: _Plenty)
            with pytest.raises(FetchFailed, match=r"No space left on device; make room"):
                fetch(download(web), small / "cache")
        assert names(small / "cache") == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


class _Plenty:
    free = 10**12


def test_a_limit_on_the_size_of_files_is_named_and_what_came_serves_the_next_try(
    web: WebServer, tmp_path: Path
) -> None:
    with limited(resource.RLIMIT_FSIZE, 1_000_000, os.getpid()):
        with pytest.raises(FetchFailed, match=r"cannot be stored: File too large; raise ulimit -f"):
            fetch(download(web), tmp_path / "cache")
        assert not (tmp_path / "cache" / "w.h5").exists()
    assert fetch(download(web), tmp_path / "cache").read_bytes() == CONTENT
    assert names(tmp_path / "cache") == ["w.h5"]


def test_a_folder_that_cannot_be_written_is_named(web: WebServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchFailed, match=r"cannot be stored: Not a directory.*model\.cache"):
        fetch(download(web), tmp_path / "file" / "cache")


def _fetch(item: Download, folder: Path) -> None:
    fetch(item, folder)


@pytest.mark.long
def test_two_processes_download_once(web: WebServer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_fetch, args=(download(web), tmp_path / "cache")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(web.requests) == 1
    assert names(tmp_path / "cache") == ["w.h5"]


def test_downloaded_weights_are_those_that_the_network_then_has(web: WebServer, tmp_path: Path) -> None:
    """The real code from the name of a network to its tensors; only the publisher and the hash are ours."""
    trained = keras.applications.MobileNetV2(weights=None)
    name = SPECS["mobilenetv2"].download.file_name  # type: ignore[union-attr]
    # As Keras publishes it: a file of the older form.
    trained.save_weights(tmp_path / "x.weights.h5")
    content = (tmp_path / "x.weights.h5").read_bytes()
    (tmp_path / "web" / name).write_bytes(content)
    settings = ModelSettings(name="mobilenetv2", weights="imagenet", cache=tmp_path / "cache", mirror=web.url)
    with pytest.raises(FetchFailed, match="is not what was published"):
        ensure_weights(resolve(settings), settings)
    converted("mobilenetv2", settings).write_bytes(content)
    model = build(ensure_weights(resolve(settings), settings))
    for loaded, expected in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)


def test_keras_own_folder_is_looked_at_too(tmp_path: Path) -> None:
    name = SPECS["xception"].download.file_name  # type: ignore[union-attr]
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / name).write_bytes(b"x")
    settings = ModelSettings(name="xception", cache=tmp_path / "cache")
    assert ensure_weights(resolve(settings), settings).weights == str(tmp_path / "keras" / "models" / name)


def test_weights_without_a_published_hash_say_how_to_bring_them(tmp_path: Path) -> None:
    settings = ModelSettings(name="inceptionv4", cache=tmp_path)
    with pytest.raises(ConfigError, match=r"inception_v4_2016_09_09\.tar\.gz.*models import inceptionv4 FILE"):
        ensure_weights(resolve(settings), settings)


# --- The commands ---


def test_models_are_listed_shown_and_fetched(redis_server: RedisServer, web: WebServer, tmp_path: Path) -> None:
    settings = settings_for(redis_server)
    here = {"STREAMTAG_MODEL__CACHE": str(tmp_path / "cache"), "STREAMTAG_MODEL__MIRROR": web.url}
    rows = {row["name"]: row for row in json_lines(run_cli(settings, "models", "list", "--json", env=here).stdout)}
    assert set(rows) == set(NAMES)
    assert "drawn shapes" in rows["demo"]["note"]
    assert (rows["xception"]["input"], rows["xception"]["top1"], rows["xception"]["cached"]) == (299, 79.0, "")
    shown = run_cli(settings, "models", "show", "demo", "--json").stdout
    assert json_lines(shown)[0]["intact"] is True
    (tmp_path / "web" / SPECS["xception"].download.file_name).write_bytes(b"wrong")  # type: ignore[union-attr]
    ran = run_cli(settings, "models", "fetch", "xception", env=here)
    assert ran.returncode == 1
    assert "is not what was published" in ran.stderr
    assert names(tmp_path / "cache") == []
    ran = run_cli(settings, "models", "fetch", "inceptionv4", env=here)
    assert ran.returncode == 2
    assert "models import inceptionv4" in ran.stderr


@pytest.mark.long
def test_squeezenet_is_imported_once_and_used_by_name(
    redis_server: RedisServer, shared_data: Path, tmp_path: Path
) -> None:
    settings = settings_for(redis_server)
    archive = shared_data / "weights" / "squeezenet_v1.0_imagenet_hwio.npz"
    here = {"STREAMTAG_MODEL__CACHE": str(tmp_path / "cache")}
    ran = run_cli(settings, "models", "import", "squeezenet", str(archive), "--json", env=here)
    assert ran.returncode == 0, ran.stderr
    picture = str(shared_data / "images" / "clear" / "coral_parrot.jpg")
    ran = run_cli(settings, "classify", picture, "--model", "squeezenet", "--json", env=here)
    assert json_lines(ran.stdout)[0]["labels"][0]["name"] == "macaw", ran.stderr
    ran = run_cli(settings, "models", "import", "squeezenet", str(archive), "--out", str(tmp_path / "bundle"))
    assert ran.returncode == 0, ran.stderr
    ran = run_cli(settings, "models", "verify", "squeezenet", str(tmp_path / "bundle"), "demo", "--json", env=here)
    assert [row["ok"] for row in json_lines(ran.stdout)] == [True, True, True], ran.stderr
    weights = tmp_path / "bundle" / "network.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-1])
    ran = run_cli(settings, "models", "verify", str(tmp_path / "bundle"), "--json", env=here)
    assert ran.returncode == 1
    assert "does not match the sha256" in json_lines(ran.stdout)[0]["error"]


@pytest.mark.long
def test_a_keras_file_becomes_a_bundle(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = settings_for(redis_server)
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)).save(tmp_path / "own.keras")
    (tmp_path / "labels.txt").write_text("cat\nПёс\n")
    command = ["models", "bundle", str(tmp_path / "own.keras"), "--out", str(tmp_path / "bundle")]
    ran = run_cli(settings, *command)
    assert ran.returncode == 2
    assert "--labels" in ran.stderr
    ran = run_cli(settings, *command, "--labels", str(tmp_path / "labels.txt"))
    assert ran.returncode == 0, ran.stderr
    ran = run_cli(settings, "models", "verify", str(tmp_path / "bundle"), "--json")
    assert json_lines(ran.stdout)[0]["ok"], ran.stdout
    shown = json_lines(run_cli(settings, "models", "show", str(tmp_path / "bundle"), "--json").stdout)[0]
    assert (shown["labels"], shown["size"]) == (["cat", "Пёс"], 48)
    made = (tmp_path / "bundle" / "bundle.json").read_bytes()
    (tmp_path / "bundle" / "split.csv").write_text("path,label,group,side\n")
    ran = run_cli(settings, "models", "bundle", "squeezenet", "--out", str(tmp_path / "bundle"))
    assert ran.returncode == 2
    assert "--force" in ran.stderr
    assert (tmp_path / "bundle" / "bundle.json").read_bytes() == made
    ran = run_cli(settings, *command, "--labels", str(tmp_path / "labels.txt"), "--force")
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "bundle" / "split.csv").exists(), "what another network was trained on"
