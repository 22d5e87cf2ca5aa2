"""The command line against jobs that are broken, taken or secret, and workers as others see them."""

from __future__ import annotations

import json
import signal

import pytest
from streamtag.client import Client
from streamtag.queue.keys import GROUP
from streamtag.settings import Settings

from tests.contract.sides import Queue
from tests.support.command_line import json_lines, run_cli
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.support.worker_process import NULL, Worker, start_worker


@pytest.fixture
def queue(redis_server: RedisServer, settings: Settings) -> Queue:
    return Queue(redis_server.url, **{"redis.prefix": settings.redis.prefix, "model.name": settings.model.name})


@pytest.mark.parametrize(
    ("source", "names"),
    [("", "source is empty"), ("caf\udce9.mp4", "not valid UTF-8"), ("a\x1b[31m.mp4", "control characters")],
)
def test_a_source_that_no_worker_would_take_is_refused_at_the_door(
    settings: Settings, queue: Queue, source: str, names: str
) -> None:
    ran = run_cli(settings, "submit", source)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert names in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert queue.waiting() == 0


def test_an_id_of_another_job_is_refused(settings: Settings) -> None:
    assert run_cli(settings, "submit", "a.mp4", "--id", "mine").returncode == 0
    again = run_cli(settings, "submit", "a.mp4", "--id", "mine", "--json")
    assert (again.returncode, json_lines(again.stdout)[0]["status"]) == (0, "queued")
    for other in (["b.mp4"], ["a.mp4", "--fps", "1"]):
        ran = run_cli(settings, "submit", *other, "--id", "mine")
        assert ran.returncode == 1
        assert "'mine' is taken by a job of another source" in ran.stderr


def test_one_broken_job_does_not_hide_the_others(settings: Settings, queue: Queue) -> None:
    for job_id in ("good", "bad"):
        queue.submit(job_id)
    queue.spoil("submitted", "nan", "bad")
    ran = run_cli(settings, "status", "--json")
    assert ran.returncode == 0
    views = {line["job_id"]: line for line in json_lines(ran.stdout)}
    assert (views["good"]["status"], views["bad"]["status"]) == ("queued", "unreadable")
    assert "submitted" in views["bad"]["reason"]
    table = run_cli(settings, "status")
    assert table.returncode == 0
    assert "bad" in table.stdout
    one = run_cli(settings, "status", "bad")
    assert one.returncode == 1
    assert "job bad cannot be read" in one.stderr


def test_a_dead_letter_with_a_password_goes_back_with_its_source(settings: Settings, queue: Queue) -> None:
    source = "rtsp://user:hunter2@cam/1"
    queue.submit(source=source)
    one = queue.worker("one")
    one.commits.dead_letter(one.take(), "no")
    refused = run_cli(settings, "dlq", "requeue", "j")
    assert refused.returncode == 1
    assert "give it again with --source" in refused.stderr
    assert run_cli(settings, "dlq", "requeue", "--all", "--source", source).returncode == 2
    ran = run_cli(settings, "dlq", "requeue", "j", "--source", source, "--json")
    assert (ran.returncode, json_lines(ran.stdout)[0]["status"]) == (0, "queued")
    assert "hunter2" not in ran.stdout + ran.stderr + refused.stdout + refused.stderr


def test_the_schema_of_a_job_is_published(settings: Settings) -> None:
    schema = json.loads(run_cli(settings, "config", "schema", "--job").stdout)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["source"]["maxLength"] == 4096


def test_an_idle_worker_counts_until_it_drains(
    settings: Settings, queue: Queue, client: Client, workers: list[Worker]
) -> None:
    """Redis' own idle times once counted it as none; ``submit`` then said that no worker served the queue."""
    worker = start_worker(workers, settings, *NULL, "worker.id=left", "worker.slots=3")
    (view,) = eventually(client.workers, "it says that it is there")
    assert (view.slots, view.running, view.model, view.engine) == (3, 0, settings.model.name, "null")
    assert view.worker.startswith("left-")
    assert view.worker != "left-"
    assert "no worker" not in run_cli(settings, "submit", "nowhere.mp4").stderr
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert client.workers() == []
    assert queue.connection.client.xinfo_consumers(queue.keys.jobs, GROUP) == []
    assert "no worker" in run_cli(settings, "submit", "nowhere.mp4", "--id", "again").stderr


def test_several_jobs_are_not_asked_for_one_by_one_of_a_redis_that_is_away(settings: Settings) -> None:
    ran = run_cli(settings, "cancel", "one", "two", "--set", "redis.url=redis://127.0.0.1:1/0")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (3, 1), ran.stderr


def test_of_several_jobs_those_that_are_there_are_shown(settings: Settings) -> None:
    for job_id in ("gate:x:1", "yard"):  # no name is taken for a picture
        assert run_cli(settings, "submit", "a.mp4", "--id", job_id).stdout == f"{job_id}  queued\n"
    shown = run_cli(settings, "status", "gate:x:1", "nobody", "yard", "--json")
    assert (shown.returncode, [view["job_id"] for view in json_lines(shown.stdout)]) == (1, ["yard", "gate:x:1"])
    assert "no job 'nobody'" in shown.stderr
    assert run_cli(settings, "cancel", "gate:x:1").stdout == "gate:x:1  cancelled\n"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--workers", "--memory"), "--workers and --memory"),
        (("--workers", "yard"), "--workers and jobs"),
        (("--memory", "--last", "3"), "--memory and jobs"),
        (("--watch", "--workers", "--json"), "--workers is shown once"),
        (("--model", ""), "model.name"),
    ],
)
def test_what_would_be_passed_over_is_refused(settings: Settings, options: tuple[str, ...], names: str) -> None:
    ran = run_cli(settings, "status", *options)
    assert (ran.returncode, names in ran.stderr) == (2, True), ran.stderr


def test_a_title_in_a_pipe_is_one_line_however_narrow_its_table(settings: Settings) -> None:
    shown = run_cli(settings, "status", "--memory", env={"COLUMNS": "30"}).stdout
    assert "(maxmemory)" in shown.splitlines()[0]
