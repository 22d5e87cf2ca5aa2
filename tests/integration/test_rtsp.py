"""Live streams from a real RTSP server: GStreamer's."""

from __future__ import annotations

import signal

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, RtspServer, Worker, eventually, settings_for, start_worker

LIVE = (*NULL, "source.backoff_s=0.1", "source.read_timeout_s=2", "source.open_timeout_s=4", "sampling.live_fps=10")
QUICK_LEASE = ("lease.seconds=4", "lease.stop_after_s=3", "lease.renew_s=0.3", "lease.reclaim_s=0.2")


def states(client: Client, job_id: str) -> list[str]:
    return [event.content["state"] for event in client.events(job_id) if event.kind == "state"]


def published(client: Client, job_id: str) -> int:
    return client.status(job_id).counters.published


def test_a_camera_is_tagged_lost_found_again_and_handed_over(
    camera: RtspServer, client: Client, settings: Settings, workers: list[Worker]
) -> None:
    first = start_worker(workers, settings, *LIVE, *QUICK_LEASE)
    job = client.submit(camera.url("ball")).job_id
    eventually(lambda: published(client, job) > 5, "samples of the camera")
    camera.stop()
    eventually(lambda: "reconnecting" in states(client, job), "the loss is noticed")
    before = published(client, job)
    camera.start()
    eventually(lambda: published(client, job) > before + 5, "samples after the camera is back")
    gaps = [event for event in client.events(job) if event.kind == "gap"]
    assert [gap.content["reason"] for gap in gaps] == ["reconnect"]
    assert gaps[0].content["missed_s"] > 0.5

    # SIGTERM hands the job back at once; another worker goes on and says what was missed.
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert client.status(job).status is JobStatus.QUEUED
    before = published(client, job)
    start_worker(workers, settings, *LIVE, *QUICK_LEASE)
    eventually(lambda: published(client, job) > before + 5, "samples by the second worker")
    assert [event.content["reason"] for event in client.events(job) if event.kind == "gap"] == ["reconnect", "handover"]

    assert client.cancel(job) == "cancelling"
    eventually(lambda: client.status(job).status is JobStatus.CANCELLED, "cancelled")
    ids = [tuple(int(part) for part in result.id.split("-")) for result in client.results(job)]
    assert ids == sorted(set(ids))
    indices = [result.index for result in client.results(job)]
    assert indices == sorted(set(indices))
    times = [result.pts_s for result in client.results(job)]
    assert times == sorted(times)
    counters = client.status(job).counters
    assert counters.handled == counters.sampled


@pytest.mark.long
def test_a_server_that_stalls_is_noticed(
    camera: RtspServer, client: Client, settings: Settings, workers: list[Worker]
) -> None:
    start_worker(workers, settings, *LIVE)
    job = client.submit(camera.url("ball")).job_id
    eventually(lambda: published(client, job) > 2, "samples of the camera")
    camera.signal(signal.SIGSTOP)
    eventually(lambda: {"stalled", "reconnecting"} <= set(states(client, job)), "the stall is noticed")
    camera.signal(signal.SIGCONT)
    before = published(client, job)
    eventually(lambda: published(client, job) > before + 2, "samples after the stall")


def test_wrong_credentials_are_told_and_never_printed(
    client: Client, settings: Settings, workers: list[Worker]
) -> None:
    server = RtspServer("viewer", "right-one")
    server.start()
    try:
        worker = start_worker(workers, settings, *LIVE, "source.backoff_cap_s=0.5")
        wrong = client.submit(server.url("secret", "viewer:hunter2@"), job_id="wrong").job_id
        right = client.submit(server.url("secret", "viewer:right-one@"), job_id="right").job_id
        eventually(lambda: "auth_failed" in states(client, wrong), "refused")
        eventually(lambda: published(client, right) > 2, "samples with the right password")
        eventually(
            lambda: "401" in client.status(wrong).reason or "refuses" in client.status(wrong).reason, "the reason"
        )
        said = "".join(worker.raw) + str(list(client.events())) + str(client.jobs())
        assert "hunter2" not in said
        assert "right-one" not in said
        assert 'state="auth_failed"} 1.0' in worker.get("/metrics")[1]
        assert worker.metric("streamtag_open_errors_total", cause="auth") > 0
        assert 0 < worker.metric("streamtag_stream_staleness_seconds", state="live") < 60
    finally:
        server.stop()


@pytest.mark.long
def test_black_and_frozen_pictures_are_named(
    camera: RtspServer, client: Client, settings: Settings, workers: list[Worker]
) -> None:
    start_worker(workers, settings, *LIVE, "source.frozen_s=1")
    black = client.submit(camera.url("black")).job_id
    still = client.submit(camera.url("still")).job_id
    eventually(lambda: "black" in states(client, black), "black")
    eventually(lambda: "frozen" in states(client, still), "frozen")


def test_a_camera_that_is_not_there_is_tried_for_ever_and_the_worker_lives(
    redis_server: RedisServer, workers: list[Worker]
) -> None:
    settings = settings_for(redis_server)
    worker = start_worker(workers, settings, *LIVE, "source.backoff_cap_s=0.3")
    with Client(settings=settings) as client:
        job = client.submit("rtsp://127.0.0.1:9/none").job_id
        eventually(lambda: worker.metric("streamtag_stream_reconnects_total") > 4, "it is tried again and again")
        assert worker.metric("streamtag_open_errors_total", cause="unreachable") > 4
        assert worker.metric("streamtag_decoder_restarts_total", cause="unreachable") > 4
        stale_s = worker.metric("streamtag_stream_staleness_seconds", state="reconnecting")
        assert stale_s > 0
        eventually(
            lambda: worker.metric("streamtag_stream_staleness_seconds", state="reconnecting") > stale_s + 0.5,
            "it grows",
        )
        assert client.status(job).status is JobStatus.RUNNING
        assert worker.get("/livez")[0] == 200


def test_a_camera_of_two_regions_is_decoded_once_and_neither_waits_for_the_other(
    camera: RtspServer, client: Client, settings: Settings, workers: list[Worker]
) -> None:
    start_worker(workers, settings, *LIVE)
    roi = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0)}
    job = client.submit(camera.url("ball"), roi=roi, motion_gate=0.02, motion_gate_max_s=5.0).job_id
    eventually(lambda: published(client, job) > 60, "samples of both regions")
    client.cancel(job)
    eventually(lambda: client.status(job).status is JobStatus.CANCELLED, "cancelled")
    results, counters = list(client.results(job)), client.status(job).counters
    indices = {name: [one.index for one in results if one.region == name] for name in roi}
    assert len(set(indices["left"]) ^ set(indices["right"])) <= 2
    ids = [tuple(int(part) for part in result.id.split("-")) for result in results]
    assert ids == sorted(set(ids))
    assert counters.handled == counters.sampled
    assert counters.published == len(results)
    assert 0 < counters.reused < counters.published
    assert {result.region for result in results if result.reused} == set(roi)
