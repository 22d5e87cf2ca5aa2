"""The decoder process: open, grab, sample, retrieve, resize into a shared-memory slot. Never imports TensorFlow.

One process per connection: when a codec hangs or crashes, only this process is lost. Whatever is wrong with
the source is told to the parent in one last message; whatever is wrong with this code ends the process with a trace.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Decode, Region, Sampling
from streamtag.core.records import Sample
from streamtag.core.sampler import Sampler, SparseSampler, Timeline
from streamtag.core.source import SourceKind
from streamtag.core.stream_state import FailureKind
from streamtag.errors import ConfigError, RejectJob, RetryJob
from streamtag.ingest import geometry, opening, wire
from streamtag.ingest.cage import allow_processor_time, confine_decoder, die_with_parent
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.gate import GateClient
from streamtag.ingest.live import StreamReader
from streamtag.ingest.policy import AuthFailed
from streamtag.ingest.readers import CorruptFrame, Facts, Fate, Reader
from streamtag.ingest.remote import TurnsOutLive
from streamtag.ingest.slots import WAIT_S, SlotMemory, Slots
from streamtag.settings import SourceSettings

PROGRESS_S = 0.5
LAGGING = "lagging"  # why a sample was dropped: the stream was too far behind its camera
_SIGNATURE_SIZE = 32
# 512 times the number of the quarter that a pixel of the signature lies in.
_QUARTERS = np.kron([[0, 1], [2, 3]], np.ones((16, 16), np.int32)) << 9


@dataclass(frozen=True, slots=True)
class Request:
    """Everything a decoder process is told at its start."""

    source: str
    live: bool
    sampling: Sampling
    default_fps: float
    preprocessing: Preprocessing
    settings: SourceSettings
    slots: int
    resume_index: int  # samples up to this frame index are done already; -1 none (finite sources)
    decoded: int  # frames before this connection (live sources)
    sampled: int  # samples before this connection, those of earlier owners included
    start_pts_s: float  # presentation time of the first frame (live sources)
    pictures: tuple[str, ...] = ()  # image files to read in this order, in place of the source
    gate_port: int = 0  # where the gate of a source on the network listens
    may_turn_live: bool = False  # the job leaves it to the source whether it goes on for ever
    decode: Decode = "auto"  # how much of a live stream, unless the job says
    region: Region | None = None  # of each frame, in place of all of it

    @property
    def decode_mode(self) -> Decode:
        """How much of a live stream is decoded."""
        return "keyframes" if self.sampling.keyframes else self.sampling.decode or self.decode


class ParentGone(Exception):
    """The other end of the socket is closed: nobody wants our frames."""


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """Entry point of the process."""
    confine_process(request.settings)
    log = ErrorLog(request.source)
    decoder = Decoder(request, parent, memory, log)
    try:
        decoder.run(_open(request, log))
    except ParentGone:
        pass
    except TurnsOutLive:
        decoder.tell(wire.DecoderFailed(FailureKind.LIVE, "the source goes on for ever"))
    except AuthFailed as error:
        decoder.tell(wire.DecoderFailed(FailureKind.AUTH, str(error)))
    except RejectJob as error:
        decoder.tell(wire.DecoderFailed(FailureKind.REJECT, str(error)))
    except (RetryJob, ConfigError) as error:
        decoder.tell(wire.DecoderFailed(FailureKind.RETRY, str(error)))
    except MemoryError:
        limit = request.settings.memory_bytes
        reason = f"needs more memory than a decoder may have (source.memory_bytes: {limit})"
        decoder.tell(wire.DecoderFailed(FailureKind.REJECT, reason))


def _open(request: Request, log: ErrorLog) -> Reader:
    located = opening.locate(request.source, request.settings, request.pictures)
    device = located.path if located.kind is SourceKind.CAMERA else None
    confine_decoder(request.settings, located.files, request.gate_port, device)
    gate = GateClient(request.gate_port, request.source) if request.gate_port else None
    live = None if request.may_turn_live and not request.live else request.live
    sparse = request.decode_mode != "all"
    return opening.open_reader(located, request.settings, log, gate, request.sampling.keyframes, live, sparse)


def confine_process(settings: SourceSettings) -> None:
    """Die with the parent, leave Ctrl-C to it, stay within the memory limit, use one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (settings.memory_bytes, settings.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    allow_processor_time(settings.watchdog_s)
    os.environ["OPENCV_FFMPEG_DEBUG"] = "1"
    cv2.setNumThreads(1)


class Decoder:
    """Reads one source, from opening to its end, and sends what the sampler keeps."""

    def __init__(self, request: Request, parent: socket.socket, memory: SlotMemory, log: ErrorLog) -> None:
        self._log = log
        self._request = request
        self._parent = parent
        self._slots = Slots(memory, request.slots, request.preprocessing)
        self._done = np.empty(
            request.preprocessing.shape, np.uint8
        )  # for the sample before the first of a resumed source
        self._decoded = request.decoded
        self._sampled = request.sampled
        self._signature: np.ndarray | None = None
        self._histograms: np.ndarray | None = None
        self._last_progress_s = 0.0
        self._cpu_s = 0.0

    def run(self, reader: Reader) -> None:
        """Read the source to its end.

        Raises:
            ParentGone: the parent closed its end.
        """
        request, opened = self._request, reader.opened
        self.tell(wire.Opened(opened.width, opened.height, opened.fps, opened.frames))
        still = not opened.width
        # Each picture of a folder is a sample, unless the job says otherwise.
        sampling = Sampling(every=1) if still and request.sampling == Sampling() else request.sampling
        keep = self._sampler(reader, sampling)
        timeline = Timeline(1.0 / (opened.fps or 25.0), request.start_pts_s)
        self._cpu_s = time.process_time()
        while reader.grab():
            index = self._decoded
            self._decoded += 1
            facts, pts_s = reader.facts(), timeline.next(reader.pts_s())
            wanted = facts.fate is not Fate.OLD and keep(index, pts_s, facts.key)
            if wanted and index >= request.resume_index:
                self._sampled += index > request.resume_index
                self._take(reader, facts, index, pts_s)
            self._report_progress()
        reader.close()
        self.tell(wire.Ended(self._decoded, self._sampled, self._note(reader, timeline)))

    def _sampler(self, reader: Reader, sampling: Sampling) -> Callable[[int, float, bool], bool]:
        if isinstance(reader, StreamReader):
            return SparseSampler(sampling, self._request.default_fps, self._request.decode_mode).keep
        sampler = Sampler(sampling, self._request.default_fps)
        return lambda index, pts_s, _key: sampler.keep(index, pts_s)

    def _note(self, reader: Reader, timeline: Timeline) -> str:
        """What to know about a source that is read to its end."""
        notes = [reader.note] if reader.note else []
        frames = reader.opened.frames
        # Where the container does not count its frames, their number is told from duration and rate: not to the frame.
        missing = frames - self._decoded - reader.bad_packets
        if not self._request.live and not self._request.sampling.keyframes and missing > 5 + frames // 50:
            notes.append(f"ended after {self._decoded} of {frames} frames: damaged or incomplete")
        if reader.bad_packets:
            notes.append(f"damaged packets passed over: {reader.bad_packets}")
        if timeline.jumps:
            notes.append(f"times that jumped and were joined: {timeline.jumps}")
        return "; ".join(notes)

    def tell(self, message: wire.Message) -> None:
        """Send a message.

        Raises:
            ParentGone: the parent closed its end.
        """
        try:
            self._parent.sendall(wire.pack(message))
        except OSError:
            raise ParentGone from None

    def _take(self, reader: Reader, facts: Facts, index: int, pts_s: float) -> None:
        """Decode one sample into a slot and send it."""
        request = self._request
        captured_unix_s = time.time() if facts.captured_unix_s is None else facts.captured_unix_s
        lost = (index, pts_s, captured_unix_s, self._decoded, self._sampled)
        if facts.fate is Fate.LAGGING:
            self.tell(wire.FrameDropped(*lost, LAGGING))
            return
        resumed = index == request.resume_index  # done before, but the next sample is compared with it
        slot = 0 if resumed else self._wait_for_slot()
        if slot is None:
            self.tell(wire.FrameDropped(*lost, "backpressure", path=reader.path))
            return
        picture = self._done if resumed else self._slots.pictures[slot]
        try:
            geometry.fit(reader.retrieve(), request.preprocessing, picture, request.region)
        except (CorruptFrame, cv2.error) as error:
            if not resumed:
                self._slots.release(slot)
                self.tell(wire.FrameFailed(*lost, "corrupt", str(error)[:500], reader.path))
            return
        scene_change, motion, luma = self._compare(picture)
        if facts.captured_unix_s is not None and time.time() - captured_unix_s > request.settings.lag_budget_s:
            self._slots.release(slot)  # it has grown too old while it was decoded
            self.tell(wire.FrameDropped(*lost, LAGGING))
        elif not resumed:
            now_s = time.process_time()
            counts = (self._decoded, self._sampled)
            sample = Sample(index, pts_s, captured_unix_s, slot, scene_change, *counts, reader.path)
            self.tell(wire.SampleMessage(sample, motion, luma, now_s - self._cpu_s))
            self._cpu_s = now_s

    def _wait_for_slot(self) -> int | None:
        """A free slot. A finite source waits for one; a live one takes its chance, and None is the answer then."""
        slot = self._slots.take()
        while slot is None and not self._request.live:
            time.sleep(WAIT_S)
            self._report_progress()
            slot = self._slots.take()
        return slot

    def _compare(self, picture: np.ndarray) -> tuple[float, float, float]:
        """How much the picture differs from the sample before, and its brightness; each from 0 to 1.

        ``scene_change`` compares colours (1 minus the intersection of 8x8x8 histograms, Swain and Ballard 1991), which
        motion mostly leaves alone and a cut does not. It does so in each quarter and takes the second largest: half of
        the picture must be new, and a banner that stays cannot hide a cut. ``motion`` compares pixels: 0 is the very
        same.
        """
        size = (_SIGNATURE_SIZE, _SIGNATURE_SIZE)
        signature = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        bins = (signature >> 5).astype(np.int32)
        keys = (bins[..., 0] << 6) | (bins[..., 1] << 3) | bins[..., 2] | _QUARTERS
        histograms = np.bincount(keys.ravel(), minlength=2048).reshape(4, 512) / (keys.size / 4)
        scene_change = motion = 0.0
        if self._signature is not None and self._histograms is not None:
            motion = float(cv2.absdiff(signature, self._signature).mean()) / 255.0
            distances = 1.0 - np.minimum(histograms, self._histograms).sum(axis=1)
            scene_change = float(np.sort(distances)[-2])
        self._signature, self._histograms = signature, histograms
        return scene_change, motion, float(signature.mean()) / 255.0

    def _report_progress(self) -> None:
        now_s = time.monotonic()
        if now_s - self._last_progress_s >= PROGRESS_S:
            self._last_progress_s = now_s
            allow_processor_time(self._request.settings.watchdog_s)
            self._log.trim()
            self.tell(wire.Progress(self._decoded, self._sampled))
