"""``streamtag status``: what people see of jobs and workers."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import (
    NULL,
    RedisServer,
    Worker,
    eventually,
    free_port,
    json_lines,
    redis_binaries,
    run_cli,
    settings_for,
    start_worker,
)
from tests.support.terminal import Terminal

LONG_ID = "a-job-whose-id-somebody-chose-at-length-for-the-gate-of-the-northern-yard-2026-11-24"


def test_running_jobs_come_first_then_waiting_ones_then_the_newest(settings: Settings, client: Client) -> None:
    for job_id in ("first", "second", "third"):
        client.submit("a.mp4", job_id=job_id, stream="yard" if job_id == "second" else "")
        time.sleep(0.01)
    client.cancel("third")
    shown = json_lines(run_cli(settings, "status", "--json").stdout)
    assert [line["job_id"] for line in shown] == ["second", "first", "third"]
    assert [line["waits_for"] for line in shown] == ["no worker serves this model"] * 2 + [""]
    for arguments, expected in (
        (["--last", "1"], ["second"]),
        (["--status", "cancelled"], ["third"]),
        (["--status", "cancelled", "--status", "queued"], ["second", "first", "third"]),
        (["--stream", "yard"], ["second"]),
        (["--stream", "nowhere"], []),
    ):
        shown = json_lines(run_cli(settings, "status", "--json", *arguments).stdout)
        assert [line["job_id"] for line in shown] == expected
    assert run_cli(settings, "status", "--status", "lost").returncode == 2


def test_a_running_job_shows_its_stream_state_labels_worker_and_age(served_settings: Settings, long_clip: Path) -> None:
    with Client(settings=served_settings) as client:
        # The null engine is sure of whatever it sees, so labels are active from the first samples on.
        client.submit(str(long_clip), job_id="seen", stream="north gate", every=1)
        eventually(lambda: client.status("seen").active, "a label is active")
        view = client.status("seen")
        assert view.status is JobStatus.RUNNING
        assert 0 <= time.time() - view.last_sample_unix_s < 60
        assert view.worker
        done = client.wait("seen", 120)
    assert done.active == ()
    table = run_cli(served_settings, "status", "seen").stdout
    heading = next(line for line in table.splitlines() if "job" in line and "status" in line).split()
    assert heading[:6] == ["job", "status", "stream", "state", "done", "frames"]
    assert heading[6:] == ["samples", "drop", "fail", "active", "lag", "last", "age", "worker", "note"]
    assert "north gate" in table
    assert "ended" in table
    assert "100%" in table


def test_a_live_job_shows_its_lag_while_it_runs(served_settings: Settings, long_clip: Path) -> None:
    with Client(settings=served_settings) as client:
        client.submit(str(long_clip), job_id="camera", live=True)
        lag_s = eventually(lambda: client.status("camera").lag_s, "a result of it is committed")
        assert 0 < lag_s < 30
        (line,) = json_lines(run_cli(served_settings, "status", "camera", "--json").stdout)
        assert 0 < line["lag_s"] < 30
        assert re.search(r"\d+\.\d s\b", run_cli(served_settings, "status", "camera").stdout)
        client.cancel("camera")
        assert client.wait("camera", 60).lag_s is None


def test_a_job_that_failed_at_once_has_done_nothing(served_settings: Settings, tmp_path: Path) -> None:
    run_cli(served_settings, "submit", str(tmp_path / "gone.mp4"), "--id", "gone", "--wait")
    table = run_cli(served_settings, "status", "gone").stdout
    assert "failed" in table
    assert "%" not in table
    assert "no such file" in table


def test_ids_and_reasons_are_whole_in_a_pipe_and_ids_on_a_terminal(served_settings: Settings, tmp_path: Path) -> None:
    source = tmp_path / ("so-long-a-name-" * 6) / "gone.mp4"
    run_cli(served_settings, "submit", str(source), "--id", LONG_ID, "--wait")
    with Client(settings=served_settings) as client:
        reason = client.status(LONG_ID).reason
    assert "no such file" in reason
    beside_its_source = reason.rpartition(": ")[2]
    for command, said in ((["status"], reason), (["dlq", "list"], beside_its_source)):
        piped = run_cli(served_settings, *command, env={"COLUMNS": "80"}).stdout
        assert any(LONG_ID in line and f" {said}" in line for line in piped.splitlines())
    with Terminal(served_settings, "status", LONG_ID, columns=100) as terminal:
        lines = terminal.end()
    assert any(LONG_ID in line for line in lines)
    # A cell that is cut ends so; the reason begins so, since of a long path the end is shown.
    assert not any(re.search(r"…(\s|$)", line) for line in lines)


def test_names_cannot_drive_the_terminal(settings: Settings, redis_server: RedisServer) -> None:
    name = "\x1b]0;owned\x07\x1b[2J[bold red]gate[/] \u202eevil"
    with Client(settings=settings) as client, redis_server.client() as redis:
        client.submit("a.mp4", job_id="hostile")
        job = f"{settings.redis.prefix}:{{demo.0}}:job:hostile"
        redis.hset(job, mapping={"reason": name, "state": name, "status": "failed"})
    for command in (["status"], ["status", "hostile"]):
        shown = run_cli(settings, *command).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "[2J[bold red]gate[/] ?evil" in shown
    (line,) = json_lines(run_cli(settings, "status", "--json").stdout)
    assert line["reason"] == "?]0;owned??[2J[bold red]gate[/] ?evil"


def test_watch_keeps_a_screen_up_to_date_and_ends_quietly(settings: Settings, client: Client) -> None:
    for number in range(40):
        client.submit("a.mp4", job_id=f"job{number}")
    with Terminal(settings, "status", "--watch", columns=80, rows=20) as terminal:
        lines = terminal.see("more")
        assert any("job39" in line for line in lines)
        client.submit("b.mp4", job_id="newcomer")
        terminal.see("newcomer")
        terminal.type("\x03")
        lines = terminal.end()
    assert terminal.process.returncode == 130
    assert not any("Traceback" in line for line in lines)
    piped = run_cli(settings, "status", "--watch")
    assert piped.returncode == 2
    assert "--watch --json" in piped.stderr


def test_watch_outlives_an_outage(tmp_path: Path) -> None:
    server = RedisServer(redis_binaries()[0], tmp_path)
    with server:
        own = settings_for(server)
        with Client(settings=own) as client:
            client.submit("a.mp4", job_id="before")
        with Terminal(own, "status", "--watch") as terminal:
            terminal.see("before")
            server.kill()
            terminal.see("cannot be reached")
            server.start()
            with Client(settings=own) as client:
                eventually(lambda: client.jobs() or True, "redis is back")
                client.submit("b.mp4", job_id="after")
            terminal.see("after")
            terminal.process.send_signal(signal.SIGINT)
            terminal.end()
            assert terminal.process.returncode == 130


@pytest.mark.long
def test_workers_are_listed_and_full_ones_make_jobs_wait(
    settings: Settings, client: Client, long_clip: Path, workers: list[Worker]
) -> None:
    worker = start_worker(workers, settings, *NULL, "worker.slots=1", "smoothing.method=none")
    assert "1 worker" in run_cli(settings, "status").stdout
    # A camera that is not there holds its slot for as long as the test lasts.
    client.submit(f"rtsp://127.0.0.1:{free_port()}/gate", job_id="holds")
    eventually(lambda: client.status("holds").status is JobStatus.RUNNING, "the slot is taken")
    client.submit(str(long_clip), job_id="waits")
    eventually(lambda: all(one.running == 1 for one in client.workers()), "the worker says so")
    shown = {line["job_id"]: line for line in json_lines(run_cli(settings, "status", "--json").stdout)}
    assert shown["waits"]["waits_for"] == "all 1 slots are taken (worker.slots)"
    assert shown["holds"]["waits_for"] == ""
    (listed,) = json_lines(run_cli(settings, "status", "--workers", "--json").stdout)
    assert (listed["slots"], listed["running"], listed["worker"]) == (1, 1, client.status("holds").worker)
    table = run_cli(settings, "status", "--workers").stdout
    assert listed["worker"] in table
    assert "1 of 1" in table
    worker.kill()
    eventually(lambda: not client.workers(), "its heartbeat is over")
    shown = {line["job_id"]: line for line in json_lines(run_cli(settings, "status", "--json").stdout)}
    assert shown["waits"]["waits_for"] == "no worker serves this model"
    assert "its worker is silent" in shown["holds"]["waits_for"]
