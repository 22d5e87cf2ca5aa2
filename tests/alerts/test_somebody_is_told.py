"""From the fault to the person, on real cameras, workers, notifiers, Redis, Prometheus and Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from streamtag.client import Client

from tests.alerts.test_rules import RULES
from tests.support import NULL, RedisServer, RtspServer, Worker, eventually, free_port, redis_binaries, settings_for
from tests.support.dashboards import Query, queries
from tests.support.prometheus import Pager, Watch, watched
from tests.support.webhook_receiver import WebhookReceiver

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LIVE = (
    *NULL,
    'metrics.labels=["circle"]',
    "lease.renew_s=1",
    "source.backoff_s=0.1",
    "source.backoff_cap_s=0.5",
    "source.read_timeout_s=2",
    "source.open_timeout_s=4",
)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        yield server


def without_data(watch: Watch) -> list[Query]:
    """The queries of the dashboards that give nothing, or nothing that is a number, however long one waits."""
    left = list(queries())

    def all_have_some() -> bool:
        left[:] = [query for query in left if not watch.values(query.asked)]
        return not left

    with suppress(AssertionError):
        eventually(all_have_some, "every panel has data")
    return left


def told(pager: Pager, alert: str) -> None:
    eventually(lambda: pager.was_told(alert, "firing"), f"{alert} is told: {pager.told}")


def over(pager: Pager, alert: str) -> None:
    eventually(lambda: pager.was_told(alert, "resolved"), f"{alert} is over: {pager.told}")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_camera_a_worker_redis_and_the_exporter_go_and_come_back_and_somebody_is_told_of_each(
    own_redis: RedisServer, camera: RtspServer, workers: list[Worker], tmp_path: Path
) -> None:
    settings = settings_for(own_redis)
    ports = {name: free_port() for name in ("worker", "exporter", "notify")}
    targets = {f"streamtag-{name}": f"127.0.0.1:{port}" for name, port in ports.items()}
    receiver = WebhookReceiver()

    def start_worker() -> Worker:
        workers.append(Worker(settings, *LIVE, env={"STREAMTAG_HTTP__PORT": str(ports["worker"])}))
        return workers[-1].ready()

    def start_notifier() -> Worker:
        sinks = json.dumps([{"name": "alarm", "kind": "webhook", "url": receiver.url}])
        env = {"STREAMTAG_HTTP__PORT": str(ports["notify"]), "STREAMTAG_NOTIFY__SINKS": sinks}
        notifier = Worker(settings, "notify.lease_s=2", command="notify", env=env)
        workers.append(notifier)
        eventually(lambda: notifier.said("telling events"), "it has the lease")
        return notifier

    worker, notifier = start_worker(), start_notifier()
    asks = {"STREAMTAG_HTTP__PORT": str(ports["exporter"])}
    workers.append(exporter := Worker(settings, command="exporter", env=asks))
    with receiver, watched(tmp_path, RULES, targets) as watch, Client(settings=settings) as client:
        pager = watch.pager
        job = client.submit(camera.url("ball"), traceparent=TRACEPARENT).job_id
        eventually(lambda: client.status(job).counters.published > 3, "samples of the camera")
        assert without_data(watch) == []
        buckets = watch.exemplars('streamtag_capture_to_commit_seconds_bucket{source="live"}')
        traces = {exemplar["labels"]["trace_id"] for bucket in buckets for exemplar in bucket["exemplars"]}
        assert traces == {TRACEPARENT.split("-")[1]}
        quiet = len([told_now for told_now in pager.told if told_now[1] == "firing"])
        receiver.answers = [422]  # to that the camera is away
        camera.stop()
        told(pager, "StreamtagCameraDown")
        told(pager, "StreamtagNotificationsGivenUp")
        camera.start()
        over(pager, "StreamtagCameraDown")
        notifier.kill()
        worker.kill()
        told(pager, "StreamtagWorkerDown")
        told(pager, "StreamtagNobodyNotifies")
        client.submit("waits.mp4", job_id="waits")
        told(pager, "StreamtagJobsWaitAndNoWorker")
        client.cancel("waits")
        start_notifier()
        start_worker()
        over(pager, "StreamtagWorkerDown")
        over(pager, "StreamtagNobodyNotifies")
        over(pager, "StreamtagJobsWaitAndNoWorker")
        own_redis.kill()
        told(pager, "StreamtagQueueUnreachable")
        own_redis.start()
        over(pager, "StreamtagQueueUnreachable")
        exporter.kill()
        told(pager, "StreamtagExporterDown")
        workers.append(Worker(settings, command="exporter", env=asks))
        over(pager, "StreamtagExporterDown")
        assert quiet == 0, "somebody was told while nothing was wrong"
