"""What FFmpeg and OpenCV say of a source is kept without its password."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = "http://camera.lan/clip.mp4?x1=kLeFt kRiGhT"


def test_a_password_with_blanks_is_known_by_the_source(tmp_path: Path) -> None:
    """In a process of its own, since it takes both outputs for itself. Half of such a password was told once."""
    program = (
        "import os, sys; from pathlib import Path; from streamtag.ingest.errorlog import ErrorLog\n"
        "log = ErrorLog(sys.argv[1])\n"
        "os.write(2, f'cannot open {sys.argv[1]}: refused'.encode())\n"
        "Path(sys.argv[2]).write_text(log.tail())\n"
    )
    told = tmp_path / "told"
    subprocess.run([sys.executable, "-c", program, SOURCE, str(told)], timeout=60, check=True)
    assert told.read_text() == "cannot open http://camera.lan/clip.mp4: refused"
