"""From the fault to the person: real cameras, workers, Redis, Prometheus and Alertmanager (``make alert-test``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.client import Client

from tests.alerts.test_rules import RULES
from tests.support import NULL, RedisServer, RtspServer, Worker, eventually, free_port, redis_binaries, settings_for
from tests.support.prometheus import Pager, watched

LIVE = (*NULL, "source.backoff_s=0.1", "source.backoff_cap_s=0.5", "source.read_timeout_s=2", "source.open_timeout_s=4")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        yield server


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_camera_a_worker_and_redis_go_and_come_back_and_somebody_is_told_of_each(
    own_redis: RedisServer, camera: RtspServer, workers: list[Worker], tmp_path: Path
) -> None:
    settings, port, exporter_port = settings_for(own_redis), free_port(), free_port()
    targets = {"streamtag-worker": f"127.0.0.1:{port}", "streamtag-exporter": f"127.0.0.1:{exporter_port}"}

    def start_worker() -> Worker:
        workers.append(Worker(settings, *LIVE, env={"STREAMTAG_HTTP__PORT": str(port)}))
        return workers[-1].ready()

    def told(pager: Pager, alert: str) -> None:
        eventually(lambda: pager.was_told(alert, "firing"), f"{alert} is told: {pager.told}")

    def over(pager: Pager, alert: str) -> None:
        eventually(lambda: pager.was_told(alert, "resolved"), f"{alert} is over: {pager.told}")

    worker = start_worker()
    workers.append(Worker(settings, command="exporter", env={"STREAMTAG_HTTP__PORT": str(exporter_port)}))
    with watched(tmp_path, RULES, targets) as pager, Client(settings=settings) as client:
        job = client.submit(camera.url("ball")).job_id
        eventually(lambda: client.status(job).counters.published > 3, "samples of the camera")
        quiet = len([told_now for told_now in pager.told if told_now[1] == "firing"])
        camera.stop()
        told(pager, "StreamtagCameraDown")
        camera.start()
        over(pager, "StreamtagCameraDown")
        worker.kill()
        told(pager, "StreamtagWorkerDown")
        client.submit("waits.mp4", job_id="waits")
        told(pager, "StreamtagJobsWaitAndNoWorker")
        client.cancel("waits")
        start_worker()
        over(pager, "StreamtagWorkerDown")
        over(pager, "StreamtagJobsWaitAndNoWorker")
        own_redis.kill()
        told(pager, "StreamtagQueueUnreachable")
        own_redis.start()
        over(pager, "StreamtagQueueUnreachable")
        assert quiet == 0, "somebody was told while nothing was wrong"
