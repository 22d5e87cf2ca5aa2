"""One decoder process as its parent sees it: the process, its shared-memory slots and the socket that it speaks on."""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from streamtag.core.failure import FailureCause, FailureKind
from streamtag.errors import NoTemporaryFolder
from streamtag.ingest import decoder
from streamtag.ingest.gate import Gate, needs_gate
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory, Slots, allocate
from streamtag.ingest.tidied import renounce_unreachable_fork_server
from streamtag.ingest.wire import (
    READ_BYTES,
    DecoderFailed,
    Ended,
    FrameDropped,
    FrameFailed,
    MalformedMessage,
    Message,
    SampleMessage,
    Unpacker,
)

FATE_UNKNOWN = 255  # multiprocessing's exit code of a process whose fork server can no longer tell

# Why a process cannot be started on this machine, and who sets that limit.
_SHORT_OF = {
    errno.EMFILE: "the worker has no descriptors left (ulimit -n)",
    errno.ENFILE: "the machine has no descriptors left (sysctl fs.file-max)",
    errno.EAGAIN: "no processes are left (ulimit -u, or pids.max of the container)",
    errno.ENOMEM: "no memory is left",
    errno.EFBIG: "memory for its pictures is larger than a file may be (ulimit -f)",
}

# What a start opens at its peak, a gate and a new fork server included, and a few more.
START_DESCRIPTORS = 24

Decode = Callable[[Request, socket.socket, SlotMemory], None]


def forkserver() -> ForkServerContext:
    """The context that decoder processes start from, running: cv2 loaded, no TensorFlow, no threads.

    Raises:
        NoTemporaryFolder: the socket by which it is asked for processes has no place.
        OSError: the same, while it runs.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        raise NoTemporaryFolder from None
    try:
        Path.cwd()
    except FileNotFoundError:
        # Multiprocessing asks for this folder at each start. Where a release was replaced under a worker, no job would
        # be decoded any more.
        os.chdir("/")
    renounce_unreachable_fork_server()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["streamtag.ingest.decoder", "streamtag.ingest.gate_server"])
    # Ctrl-C on a terminal reaches the server too, and until it has loaded it would die of it with a traceback. The
    # resource tracker comes first: the server starts it otherwise, and it lifts the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


class DecoderSession:
    """A decoder process at work on one request. A context manager: entered it runs, left it is gone.

    One thread receives. A picture may be read, and its slot released, by any thread, also after ``close``: samples may
    still be on their way to the device.

    Args:
        decode: what the process runs; the benchmark of everything else gives one that decodes nothing.
    """

    def __init__(self, request: Request, decode: Decode = decoder.main) -> None:
        self._request = request
        self._decode = decode
        self._unpacker = Unpacker(request.slots, len(request.regions))
        # What this side knows of the slots. A decoder that named one twice could fill our queues without end.
        self._occupied = bytearray(request.slots)
        self._sampled = request.sampled  # number of the last sample
        self._socket: socket.socket | None = None
        self._process: BaseProcess | None = None
        self._gate: Gate | None = None
        self._slots: Slots | None = None
        self._fork_server = 0

    def start(self) -> None:
        """Start the process, and before it the gate of a source on the network.

        Raises:
            OSError: the machine has no memory, processes or descriptors left.
            EOFError: the fork server died meanwhile; the next start makes a new one.
        """
        _make_sure_of_descriptors(START_DESCRIPTORS)
        memory = allocate(self._request.slots, self._request.preprocessing)
        try:
            self._slots = Slots(memory, self._request.slots, self._request.preprocessing)
            self._socket, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            # The process has its own copy: only with ours closed does its end show as the end of what it says.
            with child:
                self._socket.setblocking(False)
                arguments = (self._with_gate(), child, memory)
                process = forkserver().Process(target=self._decode, args=arguments, daemon=True)
                process.start()
            self._process = process
            self._fork_server = _parent(process.pid or 0)
        except (OSError, EOFError):
            self.close()
            raise
        finally:
            memory.close()

    def _with_gate(self) -> Request:
        """The request with the port of a gate that runs, where the source needs one."""
        if self._request.pictures or not needs_gate(self._request.source):
            return self._request
        self._gate = Gate(self._request.source, self._request.settings, forkserver())
        self._gate.start()
        return replace(self._request, gate_port=self._gate.port)

    def close(self) -> None:
        """Kill the process and hear no more of it."""
        self.kill()
        if self._gate is not None:
            self._gate.close()
            self._gate = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def kill(self) -> None:
        """Kill the process; what it has said can still be received."""
        if self._process is not None:
            self._process.kill()

    def __enter__(self) -> DecoderSession:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process; 0 before it has started."""
        return (self._process.pid or 0) if self._process is not None else 0

    def fileno(self) -> int:
        """For a selector to wait on."""
        if self._socket is None:
            raise ValueError("the session is not open")
        return self._socket.fileno()

    def receive(self) -> list[Message] | None:
        """What the decoder has said since, without waiting; None when it is gone and all it said is read.

        What is no valid message becomes a ``DecoderFailed``, and is the last that is heard.
        """
        if self._socket is None:
            return None
        try:
            received = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not received:
            return None
        messages: list[Message] = []
        try:
            for message in self._unpacker.feed(received):
                if isinstance(message, SampleMessage | FrameFailed | FrameDropped):
                    self._number(message.sample.sampled)
                if isinstance(message, SampleMessage):
                    self._occupy(message.sample.slot)
                messages.append(message)
        except MalformedMessage as error:
            self.close()
            reason = f"the decoder said what it may not: {error}"
            messages.append(DecoderFailed(FailureKind.RETRY, reason, FailureCause.MALFORMED))
        return messages

    def messages(self, patience_s: float) -> Iterator[Message]:
        """What the decoder says, as it says it, to its last word: ``Ended`` or ``DecoderFailed``.

        Args:
            patience_s: a decoder that is silent for so long has failed.
        """
        while multiprocessing.connection.wait([self.fileno()], patience_s):
            messages = self.receive()
            if messages is None:
                yield DecoderFailed(FailureKind.RETRY, f"the decoder process died on it ({self.how_it_ended()})")
                return
            for message in messages:
                yield message
                if isinstance(message, Ended | DecoderFailed):
                    return
        yield DecoderFailed(FailureKind.RETRY, f"the decoder gave no sign of life for {patience_s:.0f} s")

    def picture(self, slot: int) -> np.ndarray:
        """What the decoder left in a slot, (H, W, 3) uint8 RGB. Good until the slot is released."""
        assert self._slots is not None
        picture: np.ndarray = self._slots.pictures[slot]
        return picture

    def thumbnail(self, slot: int) -> bytes:
        """The same in the large: (SIDE, SIDE, 3) uint8 RGB, as bytes."""
        assert self._slots is not None
        thumbnail: bytes = self._slots.thumbnails[slot].tobytes()
        return thumbnail

    def release(self, slot: int) -> None:
        """Let the decoder write to this slot again."""
        assert self._slots is not None
        self._occupied[slot] = 0  # before the decoder may use it again
        self._slots.release(slot)

    def how_it_ended(self) -> str:
        """``signal 9`` or ``exit code 1`` of a process that is gone."""
        if self._process is None:
            return "never started"
        self._process.join(0.2)
        code = self._process.exitcode
        if code == -signal.SIGXCPU:
            return f"{signal.SIGXCPU.name}: it computed too long without progress"
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def fork_server_died(self) -> bool:
        """Whether the process, now gone, was taken along by the server that it was forked from: decoders die with it,
        and it is started anew with the next of them."""
        if self._process is None or self._process.exitcode != FATE_UNKNOWN:
            return False
        deadline_s = time.monotonic() + 0.1  # a process that ends signals its children before it is gone itself
        while alive := _is_alive(self._fork_server):
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.005)
        return not alive

    def _number(self, sampled: int) -> None:
        """Its account closes only if each number comes once: a job whose decoder left one out would never end."""
        if sampled != self._sampled + 1:
            raise MalformedMessage(f"sample number {sampled} after number {self._sampled}")
        self._sampled = sampled

    def _occupy(self, slot: int) -> None:
        if self._occupied[slot]:
            raise MalformedMessage(f"slot {slot} holds a sample that is not done with")
        self._occupied[slot] = 1


def _make_sure_of_descriptors(count: int) -> None:
    """Fail before anything is begun: multiprocessing opens two pipes for a process, and where there is room for one
    only, it leaves that open for ever; and the fork server dies of a request that is broken off, with all decoders."""
    with ExitStack() as opened:
        for _ in range(count):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))


def cannot_start(error: OSError | EOFError) -> str:
    """Why ``DecoderSession.start`` failed, for people: the limit by its name."""
    if isinstance(error, OSError):
        return f"no decoder process could be started: {_SHORT_OF.get(error.errno or 0, error)}"
    # A fork that fails ends the server, and all that we hear is that it is gone.
    short = _SHORT_OF[errno.EAGAIN]
    return f"no decoder process could be started: the server that it is forked from died. If it does again, {short}"


def _stat(pid: int) -> list[str]:
    """The fields after the name in ``/proc/PID/stat`` (``man 5 proc``)."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_stat(pid)[1])
    except OSError:  # it is gone already
        return 0


def _is_alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except OSError:
        return False
