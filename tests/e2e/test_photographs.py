"""The default network on photographs that come with a package: the whole path, on any machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.networks.weights.packages import installed_file
from streamtag.settings import Settings
from streamtag.tools.demo.film import PHOTOGRAPHS, SCENES, Photograph

from tests.support import RedisServer, Worker, json_lines, run_cli, settings_for

SHOWN = [scene for scene in SCENES if isinstance(scene, Photograph) and scene.name != "a rocket"]


@pytest.fixture(scope="module")
def served(redis_server: RedisServer) -> Iterator[Settings]:
    settings = settings_for(redis_server, model__name="efficientnet-lite0")
    worker = Worker(settings).ready()
    yield settings
    worker.kill()


def photograph(scene: Photograph) -> str:
    path = installed_file(PHOTOGRAPHS, f"skimage/data/{scene.file}")
    assert path is not None, "scikit-image is missing: make setup installs it"
    return str(path)


def test_a_job_and_classify_say_the_same_of_a_photograph_and_it_is_right(served: Settings) -> None:
    paths = [photograph(scene) for scene in SHOWN]
    lines = json_lines(run_cli(served, "classify", *paths, "--json").stdout)
    with Client(settings=served) as client:
        for scene, path, line in zip(SHOWN, paths, lines, strict=True):
            job = client.submit(path).job_id
            assert client.wait(job, 120).status is JobStatus.DONE
            (result,) = client.results(job)
            best = line["labels"][0]
            assert result.labels[0].name == best["name"], scene.name
            assert result.labels[0].score == pytest.approx(best["score"], abs=1e-3)
            assert best["name"] in scene.accepted, scene.name
