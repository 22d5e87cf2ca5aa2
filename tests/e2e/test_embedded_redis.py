"""The server of the demo's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
