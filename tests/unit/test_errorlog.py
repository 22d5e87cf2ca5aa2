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


def test_words_are_heard_once_and_also_after_the_log_was_forgotten(tmp_path: Path) -> None:
    """The thread that reads packets asks, and another forgets."""
    program = (
        "import os, sys; from pathlib import Path; from streamtag.ingest.errorlog import ErrorLog\n"
        "log, heard = ErrorLog(), []\nlisten = log.listen_for(b'missed')\n"
        "def ask(said): os.write(2, said); heard.append(listen())\n"
        "ask(b'missed 3'); ask(b''); ask(b'error, '); ask(b'missed 4, missed 6')\n"
        "log.forget(); ask(b''); ask(b'missed 5')\n"
        "Path(sys.argv[1]).write_text(f'{heard} {log.tail()}')\n"
    )
    told = tmp_path / "told"
    subprocess.run([sys.executable, "-c", program, str(told)], timeout=60, check=True)
    assert told.read_text() == "[1, 0, 0, 2, 0, 1] missed 5"
