"""A worker that cannot start ends with one clear line, an exit code that says which kind of trouble it is, and the same
line where Kubernetes looks for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from streamtag.settings import Settings

from tests.support import RedisServer, run_cli, settings_for
from tests.support.command_line import environment
from tests.support.limits import is_allowed
from tests.support.ports import free_port

NULL = ("--set", "engine.name=null")
ALONE = ("unshare", "--mount")  # what is mounted there is seen nowhere else; needs root
# What is asked for, the exit code, and what the line must name.
WRONG = {
    "a mistyped setting": (("--set", "lease.secnds=3"), 2, "did you mean 'lease.seconds'?"),
    "no such network": (("--model", "xcepton"), 4, "did you mean 'xception'?"),
    "no such engine here": (("--set", "engine.require_gpu=true"), 5, "engine null runs on no GPU"),
    "more pictures than memory": (("--set", "worker.slots=9000000"), 6, "lower worker.slots"),
}


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """The file that Kubernetes gives a container; something of an earlier start may be in it."""
    path = tmp_path / "termination-log"
    path.write_text("an earlier reason that was a good deal longer than those which follow it here" * 3)
    return path


@pytest.mark.parametrize("trouble", WRONG)
def test_a_worker_that_cannot_start_says_why_in_one_line(trouble: str, settings: Settings, message: Path) -> None:
    arguments, code, names = WRONG[trouble]
    env = {"STREAMTAG_WORKER__TERMINATION_LOG": str(message)}
    ran = run_cli(settings, "run", *NULL, *arguments, env=env, limit_s=60)
    assert ran.returncode == code, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("error: ")
    assert names in line
    assert message.read_text() == line.removeprefix("error: ")


@pytest.mark.skipif(not is_allowed(*ALONE), reason="may mount nothing")
def test_where_no_temporary_file_can_be_made_a_worker_says_what_is_wanted(settings: Settings) -> None:
    """As in a container whose file system may only be read, and which nobody gave a ``/tmp``."""
    nowhere = " && ".join(("mount -t tmpfs -o ro none /tmp", "mount -o remount,ro,bind /", 'exec "$@"'))
    command = (*ALONE, "sh", "-c", nowhere, "sh", sys.executable, "-m", "streamtag")
    env = environment(settings) | {"TMPDIR": "/nowhere"}
    for asked in (("run", *NULL), ("demo", "--drawn"), ("doctor",)):
        ran = subprocess.run([*command, *asked], env=env, capture_output=True, text=True, timeout=120, check=False)
        said = ran.stderr + ran.stdout
        assert "no folder for temporary files can be written to" in said, said
        assert "bug" not in said
        assert asked == ("doctor",) or ran.returncode == 2, said


def test_a_redis_that_does_not_answer_is_waited_for_and_then_told(settings: Settings, message: Path) -> None:
    away = settings.redis.model_copy(update={"host": "127.0.0.1", "port": free_port()})
    lost = settings.model_copy(update={"redis": away})
    arguments = (*NULL, "--set", "redis.start_s=1.5", "--set", f"worker.termination_log={message}")
    ran = run_cli(lost, "run", *arguments, limit_s=60)
    assert ran.returncode == 3, ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
    assert "is it running" in line
    assert message.read_text() == line.removeprefix("error: ")
    told = [json.loads(line)["event"] for line in ran.stderr.splitlines() if line.startswith("{")]
    assert "redis does not answer, trying on" in told
    assert "ready" not in told


def test_a_password_that_redis_refuses_is_a_wrong_setting(redis_server: RedisServer, message: Path) -> None:
    settings = settings_for(redis_server)
    arguments = (*NULL, "--set", "redis.start_s=1", "--set", f"worker.termination_log={message}")
    env = {"STREAMTAG_REDIS__USERNAME": "nobody", "STREAMTAG_REDIS__PASSWORD": "hunter2-secret"}
    ran = run_cli(settings, "run", *arguments, env=env, limit_s=60)
    assert ran.returncode == 2, ran.stderr
    assert "nobody" in message.read_text()
    assert "hunter2" not in ran.stderr + message.read_text()


def test_no_file_is_made_where_there_is_none(settings: Settings, tmp_path: Path) -> None:
    absent = tmp_path / "termination-log"
    env = {"STREAMTAG_WORKER__TERMINATION_LOG": str(absent)}
    assert run_cli(settings, "run", "--model", "xcepton", env=env, limit_s=60).returncode == 4
    assert not absent.exists()


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_told_before_anything_is_built(settings: Settings, message: Path) -> None:
    """Nobody lends this machine one, whichever it is: none is visible to CUDA."""
    env = {"STREAMTAG_WORKER__TERMINATION_LOG": str(message), "CUDA_VISIBLE_DEVICES": "-1"}
    ran = run_cli(settings, "run", "--set", "engine.require_gpu=true", env=env, limit_s=280)
    assert ran.returncode == 5, ran.stderr
    assert "TensorFlow sees no GPU here" in message.read_text()
    assert "building" not in ran.stderr
