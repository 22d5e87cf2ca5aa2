"""The decoder process: open, grab, sample, retrieve, resize into a shared-memory slot. Never imports TensorFlow.

One process per connection: when a codec hangs or crashes, only this process is lost. Whatever is wrong with
the source is told to the parent in one last message; whatever is wrong with this code ends the process with a trace.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import cv2
import numpy as np

from streamtag.core.failure import FailureCause, FailureKind
from streamtag.core.job import Sampling
from streamtag.core.records import DropReason, FailReason, Sample
from streamtag.core.sampler import FramePlan, Planned, Sampler, SparseSampler, Timeline
from streamtag.errors import ConfigError, RejectJob, RetryJob
from streamtag.ingest import geometry, wire
from streamtag.ingest.cage import allow_processor_time
from streamtag.ingest.confined import confine_process, open_caged
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.likeness import Comparison, FrameMotion, Likeness
from streamtag.ingest.live import StreamReader
from streamtag.ingest.planes import Pixels
from streamtag.ingest.policy import AuthFailed, NoAnswer, Unreachable
from streamtag.ingest.readers import MOST_REORDERED, CorruptFrame, Fate, Reader
from streamtag.ingest.remote import TurnsOutLive
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory, Slots, pauses_s
from streamtag.ingest.turns import Turn

PROGRESS_S = 0.5
QUIET_S = 1.0  # at most, before a decoder says how far it is
FILM_NICENESS = 5
LAGGING: Final = "lagging"  # why a sample was dropped: the stream was too far behind its camera


_CAUSES: dict[type, FailureCause] = {Unreachable: FailureCause.UNREACHABLE, NoAnswer: FailureCause.TIMEOUT}


class ParentGone(Exception):
    """The other end of the socket is closed: nobody wants our frames."""


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """Entry point of the process."""
    confine_process(request.settings)
    if not request.live:
        # Where one of the network's threads waits for a core, the others spin until it has computed; a film can wait.
        os.nice(FILM_NICENESS)
    log = ErrorLog(request.source)
    decoder = Decoder(request, parent, memory, log)
    try:
        decoder.run(open_caged(request, log))
    except ParentGone:
        pass
    except TurnsOutLive:
        decoder.tell(wire.DecoderFailed(FailureKind.LIVE, "the source goes on for ever"))
    except AuthFailed as error:
        decoder.tell(wire.DecoderFailed(FailureKind.AUTH, str(error)))
    except RejectJob as error:
        decoder.tell(wire.DecoderFailed(FailureKind.REJECT, str(error)))
    except (RetryJob, ConfigError) as error:
        decoder.tell(wire.DecoderFailed(FailureKind.RETRY, str(error), _CAUSES.get(type(error))))
    except MemoryError:
        limit = request.settings.memory_bytes
        reason = f"needs more memory than a decoder may have (source.memory_bytes: {limit})"
        decoder.tell(wire.DecoderFailed(FailureKind.REJECT, reason))


class Decoder:
    """Reads one source, from opening to its end, and sends what the sampler keeps."""

    def __init__(self, request: Request, parent: socket.socket, memory: SlotMemory, log: ErrorLog) -> None:
        self._log = log
        self._request = request
        self._parent = parent
        self._slots = Slots(memory, request.slots, request.preprocessing)
        # For the samples before the first of a resumed source.
        self._done = np.empty(request.preprocessing.shape, np.uint8)
        self._decoded = request.decoded
        self._sampled = request.sampled
        self._comparisons = [Comparison() for _ in request.regions]
        self._frame_motion = FrameMotion() if request.live else None
        self._last_progress_s = 0.0
        self._told_s = 0.0  # when something was last said
        self._cpu_s = 0.0
        self._turn = Turn(request.turns, self._report_progress)

    def run(self, reader: Reader) -> None:
        """Read the source to its end.

        Raises:
            ParentGone: the parent closed its end.
        """
        request, opened = self._request, reader.opened
        self.tell(wire.Opened(opened.width, opened.height, opened.fps, opened.frames))
        # Each picture of a folder is a sample, unless the job says otherwise.
        sampling = Sampling(every=1) if reader.still and not request.sampling.chooses else request.sampling
        timeline = opened.timeline()
        self._cpu_s = time.process_time()
        plan = FramePlan(self._sampler(reader, sampling), timeline, self._decoded, request.resume_index)
        self._turn.take()
        for planned in reader.planned(plan):
            self._decoded = planned.index + 1
            self._turn.pass_on()
            if planned.wanted:
                self._take(reader, planned)
            self._report_progress()
        self._turn.leave()
        reader.close()
        self.tell(wire.Ended(self._decoded, self._sampled, self._note(reader, timeline)))

    def _sampler(self, reader: Reader, sampling: Sampling) -> Callable[[int, float, bool], bool]:
        if not self._request.live:
            sampler = Sampler(sampling, self._request.default_fps)
            return lambda index, pts_s, _key: sampler.keep(index, pts_s)
        mode = self._request.decode_mode if isinstance(reader, StreamReader) else "all"
        sparse = SparseSampler(sampling, self._request.default_fps, mode)
        if not isinstance(reader, StreamReader):
            return sparse.keep

        def keep(index: int, pts_s: float, key: bool) -> bool:
            kept = sparse.keep(index, pts_s, key)
            reader.wait_for_keys(sparse.only_keys)
            return kept

        return keep

    def _note(self, reader: Reader, timeline: Timeline) -> str:
        """What to know about a source that is read to its end."""
        notes = [reader.note] if reader.note else []
        frames = reader.opened.frames
        # Where the container does not count its frames, their number is told from duration and rate: not to the frame.
        missing = frames - self._decoded - (0 if reader.counts_damaged else reader.bad_packets)
        # Nor is the rate that of all of it, where it varies; but then the last frame comes when it should.
        lasted_s = timeline.last_s + timeline.longest_s
        if reader.opened.guessed and lasted_s * reader.opened.fps > frames - 5 - frames // 50:
            missing = 0
        if not self._request.live and not self._request.sampling.keyframes and missing > 5 + frames // 50:
            notes.append(f"ended after {self._decoded} of {frames} frames: damaged or incomplete")
        if reader.bad_packets:
            notes.append(f"damaged packets passed over: {reader.bad_packets}")
        # Where times are told with the frames before (B-frames), the last of a film have none, and are right.
        if timeline.untimed > MOST_REORDERED:
            notes.append(f"frames without times, one taken to follow the other at the usual rate: {timeline.untimed}")
        if timeline.jumps:
            notes.append(f"times that jumped and were joined: {timeline.jumps}")
        return "; ".join(notes)

    def tell(self, message: wire.Message) -> None:
        """Send a message.

        Raises:
            ParentGone: the parent closed its end.
        """
        self._told_s = time.monotonic()
        try:
            self._parent.sendall(wire.pack(message))
        except OSError:
            raise ParentGone from None

    def _take(self, reader: Reader, planned: Planned) -> None:
        """Decode one frame into slots, and send each region of it that is not done with."""
        request, facts, index = self._request, reader.facts(), planned.index
        # Regions that are done were so before this connection, but those of the next frame are compared with them.
        done = request.resume_regions if index == request.resume_index else 0
        regions = range(done, len(request.regions))
        moment = (index, planned.pts_s, time.time() if facts.captured_unix_s is None else facts.captured_unix_s)
        if facts.fate is Fate.LAGGING:
            self._lose(wire.FrameDropped, regions, moment, LAGGING)
            return
        if facts.fate is Fate.DAMAGED:
            self._lose(wire.FrameFailed, regions, moment, "corrupt", "packets of it were lost on their way")
            return
        slots = self._wait_for_slots(len(regions))
        if slots is None:
            self._lose(wire.FrameDropped, regions, moment, "backpressure", path=reader.path)
            return
        try:
            frame = reader.retrieve()
        except (CorruptFrame, cv2.error) as error:
            self._release(slots)
            self._lose(wire.FrameFailed, regions, moment, "corrupt", str(error)[:500], reader.path)
            return
        budget_s = facts.held_s + request.settings.lag_budget_s
        if facts.captured_unix_s is not None and time.time() - facts.captured_unix_s > budget_s:
            self._release(slots)  # it has grown too old while it was decoded
            self._lose(wire.FrameDropped, regions, moment, LAGGING)
            return
        moved = self._frame_motion.see(frame) if self._frame_motion is not None else 0.0
        for region in range(done):
            with suppress(cv2.error):
                self._see(frame, region, self._done)
        for region, slot in zip(regions, slots, strict=True):
            try:
                likeness = self._see(frame, region, self._slots.pictures[slot], self._slots.thumbnails[slot])
            except cv2.error as error:
                self._slots.release(slot)
                self._lose(wire.FrameFailed, [region], moment, "corrupt", str(error)[:500], reader.path)
                continue
            self._sampled += 1
            counts = (self._decoded, self._sampled)
            sample = Sample(*moment, slot, likeness.scene_change, *counts, reader.path, region)
            now_s = time.process_time()
            self.tell(wire.SampleMessage(sample, max(moved, likeness.motion), likeness.luma, now_s - self._cpu_s))
            self._cpu_s = now_s

    def _see(self, frame: Pixels, region: int, picture: np.ndarray, thumbnail: np.ndarray | None = None) -> Likeness:
        """Make a region of a frame the network's input, and compare it with the last."""
        geometry.fit(frame, self._request.preprocessing, picture, self._request.regions[region])
        return self._comparisons[region].see(picture, thumbnail)

    def _lose(
        self,
        message: Callable[..., wire.FrameFailed | wire.FrameDropped],
        regions: Iterable[int],
        moment: tuple[int, float, float],
        reason: DropReason | FailReason,
        detail: str = "",
        path: str = "",
    ) -> None:
        """Tell of samples that have no picture."""
        for region in regions:
            self._sampled += 1
            self.tell(message(*moment, self._decoded, self._sampled, reason, detail, path, region))

    def _release(self, slots: list[int]) -> None:
        for slot in slots:
            self._slots.release(slot)

    def _wait_for_slots(self, count: int) -> list[int] | None:
        """Free slots. A finite source waits for them; a live one takes its chance, and None is the answer then.

        All regions of a frame or none: the last of them would starve otherwise.
        """
        slots: list[int] = []
        pauses = pauses_s()
        while len(slots) < count:
            slot = self._slots.take()
            if slot is not None:
                slots.append(slot)
            elif self._request.live:
                self._release(slots)
                return None
            else:
                self._turn.leave()
                time.sleep(next(pauses))
                self._report_progress()
        self._turn.take()
        return slots

    def _report_progress(self) -> None:
        now_s = time.monotonic()
        if now_s - self._last_progress_s >= PROGRESS_S:
            self._last_progress_s = now_s
            allow_processor_time(self._request.settings.watchdog_s)
            self._log.trim()
            # Each message is a sign of life and says how far we are; of a slow stream its samples are enough.
            if now_s - self._told_s >= min(QUIET_S, self._request.settings.read_timeout_s / 4):
                self.tell(wire.Progress(self._decoded, self._sampled))
