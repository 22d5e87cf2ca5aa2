"""The command line as people and scripts use it: as a process, with its exit codes and its pure output."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import RedisServer, Worker, eventually, json_lines, run_cli, settings_for


def test_submit_waits_and_says_how_it_ended(served: tuple[Settings, Worker], clip: Path) -> None:
    settings, _ = served
    ran = run_cli(settings, "submit", str(clip), "--wait", "--json", "--fps", "10")
    assert ran.returncode == 0, ran.stderr
    (line,) = json_lines(ran.stdout)
    assert line["status"] == "done"
    assert line["counters"] | {"dropped_by_reason": 0, "failed_by_reason": 0} == {
        "decoded": 200,
        "sampled": 80,
        "skipped": 120,
        "published": 80,
        "dropped": 0,
        "failed": 0,
        "dropped_by_reason": 0,
        "failed_by_reason": 0,
        "reused": 0,
        "regions": 1,
    }


def test_results_and_events_of_a_job(served: tuple[Settings, Worker], clip: Path) -> None:
    settings, _ = served
    (submitted,) = json_lines(
        run_cli(settings, "submit", str(clip), "--json", "--id", "tailed", "--stream", "gate").stdout
    )
    assert submitted == {"job_id": "tailed", "status": submitted["status"]}
    followed = run_cli(settings, "tail", "tailed", "--follow", "--json")
    assert followed.returncode == 0, followed.stderr
    results = json_lines(followed.stdout)
    assert len(results) == 40
    assert set(results[0]) == {
        *("id", "index", "pts_s", "labels", "active", "change", "path", "region", "reused", "groups")
    }
    assert set(results[0]["labels"][0]) == {"class_id", "name", "score", "smoothed"}
    assert json_lines(run_cli(settings, "tail", "tailed", "--lines", "3", "--json").stdout) == results[-3:]
    events = json_lines(run_cli(settings, "tail", "tailed", "--events", "--json").stdout)
    assert {event["stream"] for event in events} == {"gate"}
    for job in (["tailed"], []):
        last = run_cli(settings, "tail", *job, "--events", "--lines", "3", "--json").stdout
        assert json_lines(last) == events[-3:]
    more = run_cli(settings, "tail", "tailed", "--events", "--lines", "2", "--follow", "--json").stdout
    assert json_lines(more) == events[-2:]
    assert "state=running" in run_cli(settings, "tail", "--events").stdout, "a film is not live to people"
    assert run_cli(settings, "tail", "nobody", "--events").returncode == 1, "no such job is no job without events"
    assert [event["status"] for event in events if event["kind"] == "status"] == ["done"]
    enters = [event for event in events if event["kind"] == "enter"]
    exits = [event for event in events if event["kind"] == "exit"]
    assert len(enters) == len(exits) > 0
    text = run_cli(settings, "tail", "tailed", "--lines", "1").stdout
    assert "#195" in text


def test_status_as_table_and_as_json(served: tuple[Settings, Worker], clip: Path) -> None:
    settings, _ = served
    run_cli(settings, "submit", str(clip), "--id", "shown", "--wait")
    (line,) = json_lines(run_cli(settings, "status", "shown", "--json").stdout)
    assert list(line)[:4] == ["job_id", "status", "reason", "counters"]
    assert line["counters"]["published"] == 40
    table = run_cli(settings, "status").stdout
    assert "shown" in table
    assert "done" in table


def test_bad_sources_have_their_reason_and_harm_no_other(
    served: tuple[Settings, Worker], clip: Path, tmp_path: Path
) -> None:
    settings, _ = served
    text = tmp_path / "text.mp4"
    text.write_text("no video at all " * 100)
    sources = {
        "gone": str(tmp_path / "gone.mp4"),
        "text": str(text),
        "meta": "http://169.254.169.254/x.mp4",
        "good": str(clip),
    }
    for job_id, source in sources.items():
        run_cli(settings, "submit", source, "--id", job_id)
    with Client(settings=settings) as client:
        views = {job_id: client.wait(job_id, 60) for job_id in sources}
    assert {job_id: str(view.status) for job_id, view in views.items()} == {
        "gone": "failed",
        "text": "failed",
        "meta": "failed",
        "good": "done",
    }
    assert "no such file" in views["gone"].reason
    assert "not a video" in views["text"].reason
    assert "metadata" in views["meta"].reason
    letters = json_lines(run_cli(settings, "dlq", "list", "--json").stdout)
    assert {"gone", "text", "meta"} <= {letter["job_id"] for letter in letters}


def test_a_dead_letter_goes_back_once_its_cause_is_gone(
    served: tuple[Settings, Worker], clip: Path, tmp_path: Path
) -> None:
    settings, _ = served
    late = tmp_path / "late.mp4"
    assert run_cli(settings, "submit", str(late), "--id", "late", "--wait").returncode == 1
    late.write_bytes(clip.read_bytes())
    assert run_cli(settings, "dlq", "requeue", "late").returncode == 0
    with Client(settings=settings) as client:
        assert client.wait("late", 60).counters.published == 40
    wrong = run_cli(settings, "dlq", "drop", "late")
    assert wrong.returncode == 1
    assert "no dead letter late" in wrong.stderr
    assert run_cli(settings, "dlq", "drop").returncode == 2
    assert run_cli(settings, "dlq", "drop", "--all").returncode == 0
    assert run_cli(settings, "dlq", "list", "--json").stdout == ""


def test_an_entry_that_is_no_job_ends_among_the_dead_letters(
    served: tuple[Settings, Worker], redis_server: RedisServer
) -> None:
    settings, worker = served
    with Client(settings=settings) as client, redis_server.client() as redis:
        entry = redis.xadd(f"{settings.redis.prefix}:{{demo.0}}:jobs", {"job": "{not json"})
        letter = eventually(lambda: [one for one in client.dead_letters() if one.job_id == entry], "put aside")[0]
        assert "not valid JSON" in letter.reason
    assert worker.process.poll() is None


def test_pictures_each_stand_for_themselves_and_a_broken_one_is_counted(
    served: tuple[Settings, Worker], tmp_path: Path
) -> None:
    settings, _ = served
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64, 3), number * 80, np.uint8))
    (tmp_path / "1b.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    ran = run_cli(settings, "submit", f"{tmp_path}/", "--id", "album", "--wait", "--json")
    (line,) = json_lines(ran.stdout)
    assert (line["status"], line["counters"]["published"], line["counters"]["failed"]) == ("done", 3, 1)
    assert "1b.png" in line["reason"]
    results = json_lines(run_cli(settings, "tail", "album", "--json").stdout)
    assert [result["index"] for result in results] == [0, 1, 3]
    assert all(result["labels"][0]["score"] == result["labels"][0]["smoothed"] for result in results)
    ran = run_cli(settings, "submit", str(tmp_path / "1b.png"), "--wait", "--json")
    (line,) = json_lines(ran.stdout)
    assert (ran.returncode, line["status"]) == (1, "failed")
    assert "1b.png" in line["reason"]


def test_cancel(redis_server: RedisServer, clip: Path) -> None:
    settings = settings_for(redis_server)  # a queue that nobody serves
    submitted = run_cli(settings, "submit", str(clip), "--id", "waiting")
    assert "no worker serves" in submitted.stderr
    assert json_lines(run_cli(settings, "cancel", "waiting", "--json").stdout) == [
        {"job_id": "waiting", "status": "cancelled"}
    ]
    unknown = run_cli(settings, "cancel", "unknown")
    assert unknown.returncode == 1
    assert "no job 'unknown'" in unknown.stderr


@pytest.mark.long
def test_a_running_job_is_cancelled_and_its_account_closes(served: tuple[Settings, Worker], long_clip: Path) -> None:
    settings, _ = served
    with Client(settings=settings) as client:
        job = client.submit(str(long_clip), every=1, job_id="stopped").job_id
        eventually(lambda: client.status(job).counters.published > 0, "it runs")
        client.cancel(job)
        view = client.wait(job, 30)
    assert view.status in (JobStatus.CANCELLED, JobStatus.DONE)
    assert view.counters.sampled == view.counters.handled


def test_metrics_and_health(served: tuple[Settings, Worker], clip: Path) -> None:
    settings, worker = served
    run_cli(settings, "submit", str(clip), "--wait")
    status, text = worker.get("/metrics")
    assert status == 200
    for name in (
        "frames_decoded_total",
        "samples_total",
        "samples_published_total",
        "decode_seconds_bucket",
        "queue_seconds_bucket",
        "lag_seconds_bucket",
        "batch_size_bucket",
        "inference_seconds_bucket",
        "commit_seconds_bucket",
        "capture_to_commit_seconds_bucket",
        "lease_renewals_total",
        "slots",
        "leases",
        "streams",
        "engine_compiles_total",
        "engine_recompiles_total",
        "build_info",
    ):
        assert f"streamtag_{name}" in text, name
    assert worker.metric("streamtag_samples_published_total") >= 40
    assert worker.metric("streamtag_frames_decoded_total") >= 200
    assert worker.get("/livez")[0] == worker.get("/readyz")[0] == 200
    assert worker.get("/nothing")[0] == 404


def test_json_is_pure_and_logs_are_elsewhere(served: tuple[Settings, Worker], clip: Path) -> None:
    settings, _ = served
    for command in (
        ["status", "--json"],
        ["dlq", "list", "--json"],
        ["config", "show", "--json"],
        ["config", "schema"],
    ):
        ran = run_cli(settings, *command, env={"STREAMTAG_LOG__LEVEL": "debug"})
        assert ran.returncode == 0, ran.stderr
        json_lines(ran.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        (["status", "nobody"], 1, "no job 'nobody'"),
        (["tail"], 2, "name a job"),
        (["submit"], 2, "Missing argument"),
        (["submit", "a.mp4", "b.mp4", "--id", "x"], 2, "--id names one job"),
        (["submit", "a.mp4", "--fps", "-3"], 2, "fps must be above 0"),
        (["submit", "a.mp4", "--fps", "2", "--every", "3"], 2, "one of"),
        (["submit", "gopher://x"], 2, "gopher"),
        (["submit", "a.mp4", "--watch", ""], 2, "--watch names no label: name some"),
        (["submit", "a.mp4", "--watch", " ,"], 2, "leave it out for all of them"),
        (["run", "--set", 'smoothing.labels=[""]'], 2, "name labels and groups, or leave the list empty"),
        (["run", "--set", "lease.secnds=3"], 2, "lease.secnds: unknown setting"),
        (["run", "--set", 'metrics.labels=["triangel"]', "--model", "demo"], 2, "did you mean 'triangle'"),
        (["run", "--model", "vgg99"], 4, "unknown model 'vgg99'"),
        (["status", "--config", "/none.yaml"], 2, "no such settings file"),
        (["classify", "", "--model", "vgg99"], 2, "the source is empty"),
        # Told before a network is asked for, which this one shows by not being there.
        (["classify", "/none.jpg", "file:///none.mp4", "--model", "vgg99"], 1, "/none.mp4: no such file"),
        (["classify", "/none.jpg", "--compare", "vgg98,vgg99", "--json"], 1, '"vgg99":{"path":"/none.jpg","error"'),
        (["classify", __file__, "/none.jpg", "--model", "vgg99"], 2, "/none.jpg: no such file"),
        (["demo", "--source", "/none.mp4", "--set", "engine.name=null"], 1, "no such file"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_mistakes_have_an_exit_code_and_a_sentence(
    settings: Settings, arguments: list[str], code: int, names: str
) -> None:
    ran = run_cli(settings, *arguments)
    assert (ran.returncode, names in ran.stderr + ran.stdout) == (code, True), ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
    assert "/metrics" not in ran.stderr, "nothing is begun before the mistake is told"


def test_a_reason_names_a_file_once_and_no_number_of_the_system(
    served: tuple[Settings, Worker], clip: Path, tmp_path: Path
) -> None:
    settings, _ = served
    text = tmp_path / "text.mp4"
    text.write_text("no video at all " * 100)
    with Client(settings=settings) as client:
        job_id = client.submit(str(text)).job_id
        client.wait(job_id, 60)
    null = ("--set", "engine.name=null")
    spans = ("--label", "none", "--at", "1-2", "--out", str(tmp_path / "out"))
    mirror = ("--set", "model.mirror=http://127.0.0.1:9", "--set", f"model.cache={tmp_path}")
    for arguments, named, why in (
        (("classify", str(text), *null), "text.mp4", "not a video"),
        (("classify", str(clip), "--annotate", "/proc/none", *null), "/proc/none", "No such file"),
        (("collect", str(text), *spans), "text.mp4", "not a video"),
        (("dlq", "list"), f"{job_id} ", str(text)),
        (("models", "fetch", "vgg16", *mirror), "127.0.0.1:9", "Connection refused"),
        (("status", "--set", "redis.url=redis://127.0.0.1:9/0"), "127.0.0.1:9", "Connection refused"),
    ):
        ran = run_cli(settings, *arguments)
        (told,) = [line for line in (ran.stderr + ran.stdout).splitlines() if named in line and why in line]
        assert [told.count(named), told.count(why)] == [1, 1]
        assert not re.search(r"(?i)errno|error \d|traceback", told + ran.stderr), told


def test_a_name_of_digits_is_a_name_however_it_is_given(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text("redis:\n  sentinel_username: 0456\nsource:\n  cage: off\n")
    digits = {"STREAMTAG_WORKER__ID": "789"}
    given = ("--config", str(file), "--set", "redis.username=0123")
    ran = run_cli(settings, "config", "show", "--json", *given, env=digits)
    assert ran.returncode == 0, ran.stderr
    shown = {row["name"]: row["value"] for row in json_lines(ran.stdout)}
    names = ("redis.username", "redis.sentinel_username", "worker.id", "source.cage")
    assert [shown[name] for name in names] == ["0123", "0456", "789", "off"]
    wrong = run_cli(settings, "config", "show", env={"STREAMTAG_SMOOTHING__LABELS": "dog"})
    assert wrong.returncode == 2
    assert "smoothing.labels: a list is expected: write it as [one, two] (from environment)" in wrong.stderr


def test_values_are_shown_as_one_writes_them(settings: Settings) -> None:
    """What is copied from there into --set or a file must mean the same: Python's None would be a folder's name."""
    ran = run_cli(settings, "config", "show", "--set", "smoothing.labels=[dog, water bottle]")
    shown = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.stdout.splitlines() if line.strip()}
    assert shown["model.cache"] == "null default"
    assert shown["view.thumbnails"] == "false default"
    assert shown["source.schemes"] == "[file, http, https, rtsp, rtsps, camera] default"
    assert shown["smoothing.labels"] == "[dog, water bottle] command line"


def test_redis_away_is_told_without_the_password(settings: Settings) -> None:
    ran = run_cli(settings, "status", env={"STREAMTAG_REDIS__URL": "redis://user:hunter2@127.0.0.1:9/0"})
    assert ran.returncode == 3
    assert "127.0.0.1:9" in ran.stderr
    assert "hunter2" not in ran.stderr + ran.stdout
    shown = run_cli(settings, "config", "show", env={"STREAMTAG_REDIS__URL": "redis://user:hunter2@127.0.0.1:9/0"})
    assert "hunter2" not in shown.stdout + shown.stderr
    assert "environment" in shown.stdout
