"""A decoder that was taken over: behind its cage it tries everything that a stranger's code would try.

It runs the real entry of a decoder up to where the source is opened; what it did in spite of the cage is told as the
reason of a failure.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from streamtag.errors import RejectJob
from streamtag.ingest import cage, decoder, opening
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory
from streamtag.settings import SourceSettings

SECRET = "the moon is made of green cheese"
# What may be tried on the machine of the tests where no cage holds it.
HARMLESS = ("read-secret", "read-passwd", "list-root", "create", "connect", "listen", "datagram", "fork", "SOURCE")
_LIBC = ctypes.CDLL(None, use_errno=True)
# Numbers of system calls that the C library has no function for, the same on x86-64 and arm64.
_IO_URING_SETUP, _PIDFD_OPEN = 425, 434
_PTRACE_ATTACH = 16
_PR_GET_NO_NEW_PRIVS = 39


def break_out(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """In place of ``decoder.main``. The source is a file, or an address whose path is that file."""

    def open_reader(*arguments: Any) -> Any:
        folder = Path(request.source.partition("://")[2].partition("/")[2] or request.source)
        folder = (folder if folder.is_absolute() else Path("/") / folder).parent
        tries = attempts(folder, request)
        names = HARMLESS if request.settings.cage == "off" else tries
        done = [name for name in names if succeeds(tries[name])]
        raise RejectJob(f"did: {' '.join(done) or 'nothing'}")

    opening.open_reader = open_reader  # type: ignore[assignment]
    decoder.main(request, parent, memory)


def spin(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """A decoder that makes no progress, and does not stop."""

    def open_reader(*arguments: Any) -> Any:
        while True:
            pass

    opening.open_reader = open_reader  # type: ignore[assignment]
    decoder.main(request, parent, memory)


def break_out_of_gate(settings: SourceSettings, folder: str, answer: Connection) -> None:
    """The same from within a gate, which has the network and needs it."""
    cage.confine_gate(settings)
    tries = files(Path(folder)) | processes() | kernel()
    answer.send([name for name, attempt in tries.items() if succeeds(attempt)])


def succeeds(attempt: Callable[[], object]) -> bool:
    """Whether it had an effect: no error, and an answer that is not ``False``."""
    try:
        return attempt() is not False
    except (OSError, MemoryError, RuntimeError, subprocess.SubprocessError, ValueError):
        return False


def attempts(folder: Path, request: Request) -> dict[str, Callable[[], object]]:
    """Everything to try, by name.

    Args:
        folder: of ``source.mp4`` and of ``secret.txt``.
        request: whose settings forbid the address of a trap.
    """
    trap = request.settings.forbidden[0].rpartition(":")
    address = (trap[0], int(trap[2]))
    return files(folder) | network(address) | processes() | kernel() | limits(folder)


def files(folder: Path) -> dict[str, Callable[[], object]]:
    """Reading what is not the source, and writing anything."""
    source, secret = folder / "source.mp4", folder / "secret.txt"

    return {
        "read-secret": secret.read_text,
        "read-passwd": Path("/etc/passwd").read_text,
        "read-environment": Path("/proc/self/environ").read_bytes,
        "read-parent": Path(f"/proc/{os.getppid()}/mem").open,
        "list-root": lambda: os.listdir("/"),  # noqa: PTH208 - as short as a stranger's code
        "create": lambda: (folder / "new.txt").write_text("x"),
        "create-temporary": lambda: Path("/dev/shm/breakout").write_text("x"),
        "overwrite": lambda: source.open("r+b"),
        "truncate": lambda: os.truncate(source, 0),
        "remove": lambda: source.unlink(),
        "rename": lambda: source.rename(folder / "gone.mp4"),
        "make-folder": lambda: (folder / "new").mkdir(),
        "link": lambda: (folder / "swap.mp4").symlink_to(secret),
        "change-mode": lambda: source.chmod(0o777),
        "change-owner": lambda: os.chown(source, 1, 1),
        "change-times": lambda: os.utime(source, (1, 1)),
        "pipe": lambda: os.mkfifo(folder / "pipe"),
        "device": lambda: Path("/dev/kmsg").open("w"),
    }


def network(address: tuple[str, int]) -> dict[str, Callable[[], object]]:
    """Reaching what is not the gate."""

    def listen() -> bool:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            return True

    def send_datagram() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            return sender.sendto(b"x", address)

    return {
        "connect": lambda: socket.create_connection(address, 5),
        "listen": listen,
        "datagram": send_datagram,
        "unix-socket": lambda: socket.socket(socket.AF_UNIX),
        "raw-socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    }


def processes() -> dict[str, Callable[[], object]]:
    """Starting processes, and touching those that run."""

    def fork() -> int:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return child

    def bomb() -> bool:
        started = 0
        for _ in range(20):
            with contextlib.suppress(OSError):
                started += fork()
        return started > 0

    parent = os.getppid()
    return {
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "run": lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "fork": fork,
        "fork-bomb": bomb,
        "signal-parent": lambda: os.kill(parent, 0),
        "signal-all": lambda: os.kill(-1, 0),
        "signal-thread": lambda: _succeeded(_LIBC.tgkill(parent, parent, 0)),
        "trace-parent": lambda: _succeeded(_LIBC.ptrace(_PTRACE_ATTACH, parent, None, None)),
        "pid-descriptor": lambda: _call(_PIDFD_OPEN, parent, 0) != -1,
        "signal-by-descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 0),
    }


def kernel() -> dict[str, Callable[[], object]]:
    """Parts of the kernel that a decoder has no business with."""
    new_user_namespace = 0x1000_0000
    return {
        "unshare": lambda: _succeeded(_LIBC.unshare(new_user_namespace)),
        "mount": lambda: _succeeded(_LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
        "chroot": lambda: _succeeded(_LIBC.chroot(b"/tmp")),
        "io-uring": lambda: _call(_IO_URING_SETUP, 1, ctypes.create_string_buffer(256)) != -1,
        "host-name": lambda: _succeeded(_LIBC.sethostname(b"x", 1)),
        "new-privileges": lambda: _LIBC.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0,
        "core-file": lambda: resource.getrlimit(resource.RLIMIT_CORE) != (0, 0),
    }


def limits(folder: Path) -> dict[str, Callable[[], object]]:
    """Taking more than one's share; and that what a decoder does need is still there."""

    def descriptors() -> bool:
        return len([(folder / "source.mp4").open("rb") for _ in range(1000)]) == 1000

    def thread_runs() -> bool:
        ran = threading.Event()
        threading.Thread(target=ran.set).start()
        return ran.wait(10)

    return {
        "memory": lambda: bytearray(8 * 1024**3),
        "SOURCE": (folder / "source.mp4").read_bytes,  # in capitals what must succeed
        "THREAD": thread_runs,
        "descriptors": descriptors,
    }


def _call(number: int, *arguments: Any) -> int:
    return int(_LIBC.syscall(number, *arguments))


def _succeeded(result: int) -> bool:
    return result == 0
