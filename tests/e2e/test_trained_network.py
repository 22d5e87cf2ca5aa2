"""The whole path with a trained network on photographs that a package ships: no folder of real material is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.networks.weights.packages import installed_file
from streamtag.settings import Settings

from tests.support import RedisServer, Worker, json_lines, run_cli, settings_for

NETWORK = {"STREAMTAG_MODEL__NAME": "efficientnet-lite0"}


@pytest.fixture(scope="module")
def tagging(redis_server: RedisServer) -> Iterator[Settings]:
    """The settings of a queue with a worker that serves the trained network."""
    settings = settings_for(redis_server, model__name=NETWORK["STREAMTAG_MODEL__NAME"])
    worker = Worker(settings, env=NETWORK).ready()
    yield settings
    worker.kill()


def photograph(name: str) -> Path:
    path = installed_file("scikit-image", f"skimage/data/{name}")
    assert path is not None, "scikit-image is missing: make setup installs it"
    return path


LABELS = {
    "chelsea.png": {"tabby", "tiger_cat", "Egyptian_cat"},
    "coffee.png": {"espresso"},
    "rocket.jpg": {"missile", "projectile"},
}


@pytest.mark.long
def test_jobs_and_classify_say_the_same_of_photographs(tagging: Settings) -> None:
    """One command for all: each start of a network takes seconds."""
    ran = run_cli(tagging, "classify", *(str(photograph(name)) for name in LABELS), "--json", env=NETWORK)
    assert ran.returncode == 0, ran.stderr
    for (name, labels), line in zip(LABELS.items(), json_lines(ran.stdout), strict=True):
        with Client(settings=tagging) as client:
            job = client.submit(str(photograph(name))).job_id
            assert client.wait(job, 60).status is JobStatus.DONE
            (result,) = client.results(job)
        assert result.labels[0].name == line["labels"][0]["name"]
        assert result.labels[0].name in labels
        assert result.labels[0].score == pytest.approx(line["labels"][0]["score"], abs=1e-3)


@pytest.mark.long
def test_a_folder_is_tagged_picture_by_picture(tagging: Settings, tmp_path: Path) -> None:
    for name in ("chelsea.png", "coffee.png"):
        (tmp_path / name).symlink_to(photograph(name))
    with Client(settings=tagging) as client:
        job = client.submit(f"{tmp_path}/").job_id
        assert client.wait(job, 60).status is JobStatus.DONE
        found = [result.labels[0].name for result in client.results(job)]
    assert "cat" in found[0] or found[0] == "tabby"
    assert found[1] == "espresso"
