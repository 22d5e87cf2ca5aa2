"""What a job tells from its first sample to its last event, through a worker as a process."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import NULL, Worker, start_worker


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
    start_worker(workers, settings)
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
