"""The motion gate with a real network: what stands still is classified once in a while, what moves always."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamtag.settings import Settings
from streamtag.tools.drawing.writing import open_video

from tests.support import Worker, json_lines, run_cli, start_worker

FPS = 5


def film(path: Path, seconds: int, step_px: int) -> str:
    """A bright square that moves by so many pixels a frame."""
    writer = open_video(path, 320, 180, FPS)
    for number in range(seconds * FPS):
        frame = np.full((180, 320, 3), 60, np.uint8)
        left = 80 + number * step_px % 120
        frame[60:120, left : left + 60] = 220
        writer.write(frame, number / FPS)
    writer.close()
    return str(path)


@pytest.mark.long
def test_a_still_film_is_classified_once_in_a_while_and_a_moving_one_always(
    settings: Settings, workers: list[Worker], tmp_path: Path
) -> None:
    """On one thread of the device, which a worker of many cameras may want."""
    still, moving = film(tmp_path / "still.mp4", 6, 0), film(tmp_path / "moving.mp4", 6, 7)
    worker = start_worker(workers, settings, "engine.threads=1")
    gate = ("--fps", str(FPS), "--motion-gate", "0.03", "--motion-gate-max-s", "2", "--wait", "--json")
    ran = run_cli(settings, "submit", still, moving, *gate)
    assert ran.returncode == 0, ran.stderr
    jobs = json_lines(ran.stdout)
    assert [job["counters"]["published"] for job in jobs] == [30, 30]
    assert [job["counters"]["reused"] for job in jobs] == [27, 0]
    assert worker.metric("streamtag_samples_reused_total") == 27
    found = json_lines(run_cli(settings, "tail", jobs[0]["job_id"], "--json").stdout)
    assert [result["pts_s"] for result in found if not result["reused"]] == [0.0, 2.0, 4.0]
    for first in (0, 10, 20):
        scores = [[label["score"] for label in result["labels"]] for result in found[first : first + 10]]
        assert scores == [scores[0]] * 10
