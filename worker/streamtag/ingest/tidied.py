"""What a fork server has in the folder for temporary files, where somebody tidied it away."""

from __future__ import annotations

import errno
import multiprocessing.forkserver
import os
from pathlib import Path
from typing import Any


def renounce_unreachable_fork_server() -> None:
    """Have the next process come from a new fork server where the present one's socket is gone.

    The present one goes on for the processes that it has started, until we end. Multiprocessing asks whether it lives,
    and never whether it can be reached: nothing would be started any more.

    Raises:
        OSError: its folder cannot be made again.
    """
    server: Any = multiprocessing.forkserver._forkserver  # noqa: SLF001 - no public way
    known = vars(server)
    address = known.get("_forkserver_address")
    if address is None or Path(address).exists():
        return
    _make_again(Path(address).parent)
    known["_forkserver_pid"] = None


def _make_again(folder: Path) -> None:
    """A folder of ours in one that is everybody's. Whoever has made one of its name meanwhile could answer for us."""
    folder.mkdir(0o700, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, "it belongs to another user", str(folder))
