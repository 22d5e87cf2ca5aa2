"""A stream that is opened before its job is ours, so that nothing is missed when it changes hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamtag.core.continuity import USUAL
from streamtag.core.gaps import GAP_S, GapNoticed, GapReason
from streamtag.core.records import Checkpoint, Claim, Sample, StreamState
from streamtag.core.stream_state import Outcome, StateChanged
from streamtag.ingest.stream import FramesDecoded, SampleReady, Stream, StreamEvent, Unclassified

LEAST_STEP_S = 0.001
MAX_SLACK_S = 0.5


class Ahead:
    """What such a stream emits: kept until the job is ours, its newest samples only, then sent on.

    It counts from the checkpoint that its job had when it was opened; its owner went on meanwhile. So all that it ever
    tells is renumbered: what was decoded here and there at the same time is counted once, and the first sample that
    the owner had not committed follows on its last. All but ``ready``, ``over`` and ``stream`` is the intake thread's.

    Args:
        claim: of the job as it was offered.
        period_s: between two samples.
        hold: samples that are kept.
        on_change: told, in the intake thread, when ``ready`` or ``over`` changes.
    """

    stream: Stream

    def __init__(self, claim: Claim, period_s: float, hold: int, on_change: Callable[[], None]) -> None:
        self.claim = claim
        self.ready = False  # it has samples to go on with
        self.over = False  # it ended before its job was ours
        self.state = StreamState.CONNECTING
        self._period_s = period_s
        self._hold = hold
        self._on_change = on_change
        self._held: deque[SampleReady | Unclassified] = deque()
        self._ended: Outcome | None = None
        self._deliver: Callable[[StreamEvent], None] | None = None
        counters = claim.checkpoint.counters
        self._last = (counters.sampled, counters.decoded)  # the numbers of what was passed over last
        self._more = (0, 0)  # by so much they are higher for the job than for this stream
        self._from: Checkpoint | None = None  # where to go on; None once the first sample was sent on
        self._open: set[int] = set()  # regions of its owner's last frame that it had not committed
        self._pts_s = 0.0  # how much later it is for the job than for this stream

    def emit(self, event: StreamEvent) -> None:
        """Take an event of the stream."""
        if self._deliver is not None:
            self._send_on(event)
            return
        match event:
            case SampleReady() | Unclassified():
                self._held.append(event)
                while len(self._held) > self._hold:
                    self._pass_over()
                self._change(ready=self.ready or isinstance(event, SampleReady))
            case StateChanged(state):
                self.state = state
                self._change(ready=self.ready and state.is_decoding)
            case Outcome():
                self._ended = event
                self._change(ready=False, over=True)

    def go_on(
        self, checkpoint: Checkpoint, regions_s: Sequence[float | None], deliver: Callable[[StreamEvent], None]
    ) -> None:
        """The job is ours, and stands so: send on what its last owner had not committed, and all that comes.

        Args:
            regions_s: presentation time of the last sample of each region that has a result.
        """
        if checkpoint.last_pts_s in regions_s:
            # They are committed in their order, but not always all of a frame at once.
            self._open = {number for number, pts_s in enumerate(regions_s) if pts_s != checkpoint.last_pts_s}
        while self._held and self._is_published(self._held[0].sample, checkpoint):
            self._pass_over()
        sampled, decoded = self._last
        self._more = (checkpoint.counters.sampled - sampled, checkpoint.counters.decoded - decoded)
        self._from, self._deliver = checkpoint, deliver
        while self._held:
            self._send_on(self._held.popleft())
        if self._ended is not None:
            self._send_on(self._ended)

    def _is_published(self, sample: Sample, checkpoint: Checkpoint) -> bool:
        since_s = sample.captured_unix_s - checkpoint.last_captured_unix_s
        return since_s <= self._slack_s and not (sample.region in self._open and since_s > -self._slack_s)

    @property
    def _slack_s(self) -> float:
        """Two that read the same packet do not stamp it with the very same time."""
        return min(MAX_SLACK_S, self._period_s / 2)

    def _change(self, ready: bool, over: bool = False) -> None:
        if (ready, over) != (self.ready, self.over):
            self.ready, self.over = ready, over
            self._on_change()

    def _pass_over(self) -> None:
        """Its owner has published this one, or it grew too old."""
        event = self._held.popleft()
        if isinstance(event, SampleReady):
            event.session.release(event.sample.slot)
        self._last = (event.sample.sampled, event.sample.decoded)

    def _send_on(self, event: StreamEvent) -> None:
        assert self._deliver is not None
        match event:
            case SampleReady(sample=sample) | Unclassified(sample=sample):
                self._join(sample, self._deliver)
                self._deliver(replace(event, sample=self._renumbered(sample)))
            case Outcome(decoded=decoded, sampled=sampled):
                more_sampled, more_decoded = self._more
                self._deliver(replace(event, decoded=decoded + more_decoded, sampled=sampled + more_sampled))
            case StateChanged() | GapNoticed() | FramesDecoded():
                self._deliver(event)

    def _join(self, sample: Sample, deliver: Callable[[StreamEvent], None]) -> None:
        """Before the first sample: see how its time follows on that of the last owner's, and whether one is missing."""
        checkpoint, self._from = self._from, None
        if checkpoint is None or not checkpoint.last_captured_unix_s:
            return
        passed_s = sample.captured_unix_s - checkpoint.last_captured_unix_s
        same_frame = bool(self._open) and passed_s <= self._slack_s
        passed_s = 0.0 if same_frame else max(LEAST_STEP_S, passed_s)
        self._pts_s = checkpoint.last_pts_s + passed_s - sample.pts_s
        lost = bool(self._open) and not (same_frame and sample.region == min(self._open))
        if lost or passed_s > max(GAP_S, USUAL * self._period_s):
            deliver(GapNoticed(GapReason.HANDOVER))

    def _renumbered(self, sample: Sample) -> Sample:
        sampled, decoded = self._more
        return replace(
            sample,
            index=sample.index + decoded,
            pts_s=sample.pts_s + self._pts_s,
            decoded=sample.decoded + decoded,
            sampled=sample.sampled + sampled,
        )
