"""The services of ``compose.yaml`` at work: two cameras are tagged, by the engine that the worker found the fastest.

Run are camera, worker, exporter, page, notifier and jobs, which have our image, and Redis, of Debian's package.
Prometheus, Alertmanager and Grafana are other people's images, which cannot be had here: of them only the files are
checked (``test_compose.py``, ``tests/alerts``).
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.test_beside_the_worker import Address
from tests.image.test_compose import BIN, copied
from tests.support import eventually
from tests.support.containers import Container, Containers
from tests.support.page import Told, ask


@pytest.fixture
def project(containers: Containers, image: str, tmp_path: Path) -> Iterator[Project]:
    containers.redis()
    folder = copied(tmp_path)
    subprocess.run([folder / "scripts" / "compose-secrets"], check=True, capture_output=True, timeout=60)
    with (folder / ".env").open("a", encoding="utf-8") as env:
        env.write(f"STREAMTAG_TAG={image.rpartition(':')[2]}\n")
    # Any port of this machine: on the one that is named something else may be.
    compose = (folder / "compose.yaml").read_text(encoding="utf-8")
    (folder / "compose.yaml").write_text(compose.replace('"127.0.0.1:9180:9180"', '"127.0.0.1::9180"'), "utf-8")
    project = Project(containers, folder)
    project.compose("down", "--volumes", "--timeout=0", check=False)
    try:
        yield project
    finally:
        project.compose("down", "--volumes", "--timeout=0", check=False)


class Project:
    """The services, by podman-compose."""

    NAME = "streamtag-test"

    def __init__(self, containers: Containers, folder: Path) -> None:
        self._containers = containers
        self._folder = folder

    def compose(self, *arguments: str, check: bool = True) -> str:
        command = (str(BIN / "podman-compose"), f"--project-name={self.NAME}", "--in-pod=0", "--profile=notify")
        return self._containers(*command, *arguments, limit_s=300, check=check, cwd=self._folder)

    def up(self, *services: str) -> None:
        """Without those that they depend on: without systemd, podman 4.3 never tries whether one is healthy."""
        self.compose("up", "--detach", "--no-deps", "--no-build", *services)

    def container(self, service: str) -> Container:
        return Container(self._containers, f"{self.NAME}_{service}_1")

    def address(self, service: str, port: int) -> Address:
        """Of a port of it, in the network of the services."""
        networks = self.container(service).inspect("NetworkSettings.Networks")
        return Address(f"http://{networks[f'{self.NAME}_default']['IPAddress']}:{port}")

    def metric(self, service: str, name: str) -> float:
        """The sum of a metric's samples, as Prometheus would see them; 0 where it cannot be asked yet."""
        try:
            with urllib.request.urlopen(f"{self.address(service, 9108).url}/metrics", timeout=10) as got:
                lines = got.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[{{ ]", line))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_cameras_are_tagged(project: Project, containers: Containers) -> None:
    project.up("redis")
    redis = project.container("redis").identity
    eventually(lambda: containers.succeeds("podman", "healthcheck", "run", redis), "Redis is healthy")
    project.up("notify")
    eventually(lambda: project.metric("notify", "streamtag_notify_lease") == 1, "the notifier has the lease")
    project.up("camera", "worker", "exporter", "view", "jobs")
    assert project.container("jobs").wait(120) == 0, project.container("jobs").log
    eventually(
        lambda: project.metric("worker", "streamtag_samples_published_total") > 20,
        f"samples of the cameras: {project.container('worker').log[-3000:]}",
        limit_s=240,  # a minute of it is for measuring engines
    )
    assert project.metric("worker", "streamtag_engine_info") == 1
    assert project.metric("exporter", "streamtag_queue_reachable") == 1
    eventually(lambda: project.metric("exporter", "streamtag_queue_running_jobs") == 2, "both cameras are read")
    page = project.address("view", 9180)
    told = Told(page)
    told.know("compose-lobby", "compose-gate")
    numbers = ",".join(str(job["n"]) for job in told.jobs.values())
    eventually(lambda: len(json.loads(ask(page, f"/api/thumbs?of={numbers}").read())) == 2, "there are their pictures")
    # The address in the file is nobody's: what is seen is kept for it.
    eventually(lambda: project.metric("notify", "streamtag_notify_retries_total") > 0, "it is tried")
    assert project.metric("notify", "streamtag_notify_oldest_undelivered_seconds") > 0
