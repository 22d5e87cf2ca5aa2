"""What a job tells from its first sample to its last event, through a worker as a process."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import NULL, Worker, run_cli, start_worker


def test_results_of_pictures_name_their_files(
    client: Client, settings: Settings, workers: list[Worker], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "c — ü.png"):
        cv2.imwrite(str(folder / name), np.full((20, 30, 3), 90, np.uint8))
    (folder / "b.png").write_bytes(b"no picture")
    start_worker(workers, settings, *NULL)
    for job, source in (("folder", f"{folder}/"), ("glob", f"{folder}/*.png")):
        client.submit(source, job_id=job)
        assert client.wait(job, 60).status is JobStatus.DONE
        assert [result.path for result in client.results(job)] == [f"{folder}/a.png", f"{folder}/c — ü.png"]
        (failed,) = [event for event in client.events(job) if event.kind == "frame_failed"]
        assert failed.content["path"] == f"{folder}/b.png"
    client.submit(str(folder / "a.png"), job_id="one")
    client.wait("one", 60)
    assert [result.path for result in client.results("one")] == [f"{folder}/a.png"]


def test_a_job_ends_after_its_labels_and_says_when(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    watched = ("circle", "square", "triangle", "star", "cross", "ring")
    worker = start_worker(workers, settings, f"metrics.labels={json.dumps(watched)}")
    began_unix_s = time.time()
    job = client.submit(str(clip)).job_id
    assert client.wait(job, 120).status is JobStatus.DONE
    last_s = list(client.results(job))[-1].pts_s
    assert [result.path for result in client.results(job)] == [""] * 40
    events = list(client.events(job))
    kinds = [event.kind for event in events]
    assert kinds.count("enter") == kinds.count("exit") > 0
    assert kinds[-3:] == ["exit", "state", "status"]
    ended, status = events[-2:]
    assert ended.content["state"] == "ended"
    assert status.content["status"] == "done"
    assert ended.pts_s == status.pts_s == last_s > 7
    told = Counter((event.kind, event.content["label"]["name"]) for event in events if event.kind in ("enter", "exit"))
    for kind, label in product(("enter", "exit"), watched):
        assert worker.metric("streamtag_label_events_total", kind=kind, label=label) == told[kind, label]
    assert began_unix_s < worker.metric("streamtag_last_progress_timestamp_seconds") <= time.time()
    assert worker.metric("streamtag_redis_seconds_count", thread="commits") > 1
    assert worker.metric("streamtag_label_streams") == 0, "the job is over"


def test_a_trace_goes_through_events_log_lines_and_exemplars(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    trace, other = "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"
    queued = run_cli(
        settings, "submit", str(clip), "--id", "traced", "--traceparent", f"00-{trace}-b7ad6b7169203331-01"
    )
    assert queued.returncode == 0, queued.stderr
    again = client.submit(str(clip), job_id="traced", traceparent=f"00-{other}-b7ad6b7169203331-01")
    assert again.trace_id == trace, "asked for again from elsewhere in a trace, it is the same job"
    client.submit(str(clip), job_id="plain")
    worker = start_worker(workers, settings, *NULL)
    for job in ("traced", "plain"):
        assert client.wait(job, 60).status is JobStatus.DONE
    assert {event.content.get("trace_id") for event in client.events("traced")} == {trace}
    assert {event.content.get("trace_id") for event in client.events("plain")} == {None}
    said = [line for line in worker.log if line.get("job_id") == "traced"]
    assert {"job started", "stream state", "job done"} <= {line["event"] for line in said}
    assert {line.get("trace_id") for line in said} == {trace}
    assert all("trace_id" not in line for line in worker.log if line.get("job_id") == "plain")
    assert f'# {{trace_id="{trace}"}}' in worker.get("/metrics", accept="application/openmetrics-text")[1]
    assert trace not in worker.get("/metrics")[1]
    assert client.cancel(client.submit(str(clip), traceparent=f"00-{other}-b7ad6b7169203331-00").job_id)
