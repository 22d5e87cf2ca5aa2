"""The real Dockerfile, built without a daemon: what is in the image, and a worker in it (``make image-test``)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from streamtag.client import Client

from tests.support import eventually
from tests.support.containers import Containers
from tests.support.outcomes import is_over

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

BYTES = 1_400_000_000  # unpacked, at most
# Each shared object by the loader; modules of Python find its functions in the process. TensorFlow's look for others
# where its own import has put them.
LOAD = """
import ctypes, json, pathlib, sysconfig
import tensorflow
failed, count = {}, 0
for path in pathlib.Path(sysconfig.get_path("purelib")).rglob("*.so*"):
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        failed[path.name] = str(error)
    count += 1
print(json.dumps({"failed": failed, "count": count}))
"""
BUILDERS = ("gcc", "cc", "ld", "make", "pip", "pip3", "strip")


def configuration(containers: Containers, image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(containers.podman("inspect", "--format={{json .Config}}", image))
    return found


def test_the_image_is_small_and_says_what_it_is(containers: Containers, image: str) -> None:
    assert int(containers.podman("inspect", "--format={{.Size}}", image)) <= BYTES
    found = configuration(containers, image)
    assert found["User"] == "10001:10001"
    assert found["Volumes"] == {"/weights": {}}
    assert found["StopSignal"] == "SIGTERM"
    labels = found["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == "0.0.0-test"
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    environment = found["Env"]
    assert isinstance(environment, list)
    assert "HOME=/tmp" in environment


def test_nothing_is_left_in_it_of_how_it_was_made(containers: Containers, image: str) -> None:
    with containers.mounted(image) as files:
        binaries = [files / folder / name for folder in ("usr/bin", "opt/streamtag/bin") for name in BUILDERS]
        assert [str(path) for path in binaries if path.exists()] == []
        packages = next((files / "opt/streamtag/lib").glob("python3*/site-packages"))
        assert not (packages / "pip").exists()
        assert list(packages.rglob("*.a")) == []
        assert not (packages / "tensorflow/include").exists()
        assert not list((files / "var/lib/apt/lists").iterdir())
        assert not (files / "etc/pip.conf").is_file() or not (files / "etc/pip.conf").read_text(encoding="utf-8")
        assert not (files / "source").exists()
        writable = [path for path in (packages / "streamtag").rglob("*") if path.stat().st_uid == 10001]
        assert writable == []
        ours = list((packages / "streamtag").rglob("*.py"))
        compiled = {path.stem.partition(".")[0] for path in (packages / "streamtag").rglob("*.pyc")}
        assert len(ours) > 100
        assert {path.stem for path in ours} <= compiled


def test_what_is_left_of_its_libraries_can_be_loaded(containers: Containers, image: str) -> None:
    """They were stripped, and some of what others may want was removed."""
    options = ["--rm", "--network=none", "--entrypoint=python3"]
    loaded = json.loads(containers.podman("run", *options, image, "-c", LOAD, limit_s=300))
    assert loaded["failed"] == {}
    assert loaded["count"] > 200


def test_a_clip_is_tagged_and_a_worker_that_is_told_to_end_does(
    containers: Containers, image: str, own: list[str], client: Client, clip: Path
) -> None:
    options = [*own, "--env=STREAMTAG_ENGINE__NAME=openvino", f"--volume={clip.parent}:/films:ro"]
    with containers.running(image, options=options) as worker:
        job = client.submit(f"/films/{clip.name}").job_id
        eventually(lambda: is_over(client, job), "the clip is over")
        status = client.status(job)
        assert (status.status.value, status.counters.published) == ("done", 40)
        assert len(list(client.results(job))) == 40
        assert [event.kind for event in client.events(job) if event.kind == "enter"]
        # Where volumes and temporary file systems are mounted is all that differs from the image.
        changed = set(worker.changed())
        worker.signal("TERM")
        assert worker.wait() == 0, worker.log
    assert {
        line for line in changed if not re.match(r"[AC] /(films|weights|etc|run|dev|proc|sys|tmp|var)", line)
    } == set()


def test_a_worker_that_is_told_to_end_while_it_starts_does_so(
    containers: Containers, image: str, own: list[str]
) -> None:
    """The first process of a container gets no signal that it does not handle yet."""
    with containers.running(image, options=own) as worker:
        eventually(lambda: worker.state["Running"], "it runs")
        worker.signal("TERM")
        assert worker.wait(30) in (0, 143), worker.log
