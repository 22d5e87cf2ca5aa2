"""The server of the demo's and the benchmarks' own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streamtag.configuration import load, parse_override
from streamtag.redis_settings import RedisSettings
from streamtag.settings import Settings
from streamtag.tools.embedded import EmbeddedRedis

_INTERRUPTED = """
import os, signal
from streamtag.tools.embedded import EmbeddedRedis

signal.signal(signal.SIGINT, signal.default_int_handler)
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
with EmbeddedRedis():
    print("went on")
"""


def test_ctrl_c_while_it_is_started_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", _INTERRUPTED]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert "KeyboardInterrupt" in ran.stderr
    assert "went on" not in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_file_and_environment_say_of_another_server_is_not_said_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in this process nor in one that is started with its ``--set``: else jobs of a benchmark go to others."""
    server = EmbeddedRedis()
    server.url = "unix:///somewhere/redis.sock"
    file = tmp_path / "worker.yaml"
    file.write_text("{redis: {host: redis.lan, port: 7000, tls_ca: ca.pem, sentinels: ['a:1'], shard: 3}}")
    monkeypatch.setenv("STREAMTAG_REDIS__PASSWORD", "secret")
    monkeypatch.setenv("STREAMTAG_REDIS__USERNAME", "worker")
    monkeypatch.setenv("STREAMTAG_LEASE__SECONDS", "70")
    theirs, _ = load(file, {"worker.slots": 3})
    assert theirs.redis.password.get_secret_value() == "secret"
    own = RedisSettings.model_validate({"url": server.url})
    assert server.in_place_of_theirs(theirs) == theirs.model_copy(update={"redis": own})
    started: Settings = load(file, dict(map(parse_override, server.overrides())))[0]
    assert (started.redis, started.lease.seconds) == (own, 70.0)
