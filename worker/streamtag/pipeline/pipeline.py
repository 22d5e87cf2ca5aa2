"""READ FIRST: a frame's journey through the worker, and the threads that carry it.

::

    claims ──Claim──▶ intake ──Item──▶ inference ──Classified──▶ commits ──▶ Redis
                        │                                          ▲
                        └── Unclassified, StateChange, Gap, Ended ──┘          leases ──▶ Redis

1. **claims** (``stages/claiming.py``) reads a job from the queue and acquires it. ``Pipeline._start`` makes it a
   ``Run``: a stream to read it and a track to publish it.
2. **intake** (``ingest/intake.py``) starts a decoder process for the stream. That process opens, grabs, samples,
   retrieves and resizes into a shared-memory slot (``ingest/decoder.py``), and sends a ``Sample`` over its socket.
3. Intake puts each sample into the batcher as an ``Item``. **inference** (``stages/inferring.py``) draws a batch
   across all streams, copies the pictures out of their slots, gives the slots back, and runs the engine.
4. The scores go to **commits** (``stages/committing.py``): each stream's ``Track`` smooths them, notes which labels
   enter or exit, and every 0.25 s one script publishes results, events and checkpoint together.
5. **leases** (``stages/leasing.py``) renews every job's lease over a connection that nothing else uses.

Every way is bounded. A finite decoder waits for a free slot, so a slow Redis holds the commits, full commits hold the
device, and the device holds the decoders. A live decoder never waits: what finds no slot, or grows stale before the
device is free, is dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from streamtag.core.bundle import Bundle
from streamtag.core.records import Claim, Sample, StreamState
from streamtag.core.source import SourceKind
from streamtag.core.track import Track
from streamtag.errors import ConfigError
from streamtag.ingest import decoder
from streamtag.ingest.intake import Intake
from streamtag.ingest.session import Decode, DecoderSession
from streamtag.ingest.stream import Outcome, Stream
from streamtag.ingest.wire import SampleMessage
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.networks.engines.base import Engine
from streamtag.pipeline.claim_loop import Claiming
from streamtag.pipeline.commit_loop import Committing
from streamtag.pipeline.health import Health
from streamtag.pipeline.inference_loop import Inferring
from streamtag.pipeline.lease_loop import Leasing
from streamtag.pipeline.run import Ended, Gap, Item, Mailbox, Run, Runs, StateChange, Unclassified
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.leases import Leases
from streamtag.settings import Settings

MAILBOX_LIMIT = 64
LEASE_TICK_S = 0.25


class Pipeline:
    """The stages, their queues and their threads.

    Args:
        claims, rejects: over the claims thread's connection.
        commits: over the commits thread's.
        leases: over the leases thread's.
        cost_s: measured seconds of one batch of each bucket.
        decode: what a decoder process runs; the benchmark of everything else gives one that decodes nothing.
    """

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        engine: Engine,
        cost_s: dict[int, float],
        claims: Claims,
        rejects: Commits,
        commits: Commits,
        leases: Leases,
        metrics: Metrics,
        health: Health,
        decode: Decode = decoder.main,
    ) -> None:
        self.runs = Runs()
        self.failure: BaseException | None = None  # what ended a thread that should not have ended
        self._settings = settings
        self._bundle = bundle
        self._metrics = metrics
        self._health = health
        self._decode = decode
        self._mailbox = Mailbox(MAILBOX_LIMIT)
        self._intake = Intake()
        self._inferring = Inferring(engine, bundle, settings.batching, cost_s, self._mailbox, metrics)
        self._committing = Committing(commits, self.runs, self._mailbox, settings.worker, metrics, self._kill_stream)
        self._claiming = Claiming(
            claims, rejects, self.runs, settings.worker.slots, settings.lease, metrics, self._start, self._on_redis
        )
        self._leasing = Leasing(leases, self.runs, settings.lease, metrics, self._abandon, self._cancel, self._on_redis)
        self._stop_claiming = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._on_failure: Callable[[], None] = lambda: None
        metrics.slots.set(settings.worker.slots)
        metrics.watch_states(self._states)

    def start(self, on_failure: Callable[[], None]) -> None:
        """Start the threads. ``on_failure`` is called when one of them dies, since the service must not live on."""
        self._on_failure = on_failure
        self._spawn("commits", self._committing.turn, self._stop)
        self._spawn("inference", lambda: self._inferring.turn(self._stop), self._stop)
        self._spawn("intake", self._intake.turn, self._stop)
        self._spawn("leases", self._lease_turn, self._stop)
        self._spawn("claims", lambda: self._claiming.turn(self._stop_claiming), self._stop_claiming)

    def drain(self, deadline_s: float) -> None:
        """Take no new job; hand live ones back now, finite ones when they end or at the deadline."""
        self._stop_claiming.set()
        self._join("claims")
        self._stop_streams(lambda run: run.live)
        while len(self.runs) and time.monotonic() < deadline_s and self.failure is None:
            time.sleep(0.05)
        self._stop_streams(lambda run: True)

    def stop(self, deadline_s: float) -> None:
        """End everything, in the order of the frames; the leases last, so that what is flushed is still ours."""
        while len(self.runs) and time.monotonic() < deadline_s and self.failure is None:
            time.sleep(0.02)
        self._stop.set()
        for name in ("intake", "inference", "commits", "leases"):
            self._join(name)
        self._intake.close()

    # What the claims thread calls.

    def _start(self, claim: Claim) -> None:
        """Make a claim a run: a stream that reads it and a track that publishes it."""
        smoothing = self._settings.smoothing
        if claim.job.kind in (SourceKind.IMAGE, SourceKind.IMAGES) and not smoothing.images:
            smoothing = smoothing.model_copy(update={"method": "none", "min_on_s": 0.0, "min_off_s": 0.0})
        try:
            track = Track(claim, self._bundle, smoothing)
        except ConfigError as error:
            log.warning("smoothing starts anew", job_id=claim.job.job_id, error=str(error))
            claim = replace(claim, checkpoint=replace(claim.checkpoint, smoother=b""))
            track = Track(claim, self._bundle, smoothing)
        run = Run(claim, track)
        run.stream = Stream(
            claim,
            self._bundle.preprocessing,
            self._settings.source,
            self._settings.sampling,
            _Listener(self, run),
            self._decode,
        )
        if self.runs.add(run):
            self._metrics.leases.set(len(self.runs))
            log.info("job started", job_id=run.job_id, source=claim.job.redacted_source, attempt=claim.attempts)
            self._intake.add(run.stream)

    # What the leases thread calls.

    def _abandon(self, run: Run, reason: str) -> None:
        run.lost = True
        log.warning("job given up", job_id=run.job_id, reason=reason)
        self._kill_stream(run)

    def _cancel(self, run: Run) -> None:
        run.cancelled = True
        self._kill_stream(run)

    def _lease_turn(self) -> None:
        self._leasing.turn()
        self._stop.wait(LEASE_TICK_S)

    # What intake calls, through the stream's listener.

    def on_sample(self, run: Run, session: DecoderSession, message: SampleMessage) -> None:
        self._inferring.put(Item(run, session, message.sample, message.decode_s))

    def on_lost(self, run: Run, kind: str, sample: Sample, reason: str, detail: str) -> None:
        self._metrics.samples.inc()
        self._mailbox.put(Unclassified(run, sample, kind, reason, detail))

    def on_state(self, run: Run, state: StreamState, detail: str) -> None:
        if state in (StreamState.RECONNECTING, StreamState.AUTH_FAILED):
            self._metrics.reconnects.inc()
        log.info("stream state", job_id=run.job_id, state=state, detail=detail)
        self._mailbox.put(StateChange(run, state, detail))

    def on_gap(self, run: Run, reason: str) -> None:
        self._mailbox.put(Gap(run, time.time(), reason))

    def on_decoded(self, frames: int) -> None:
        self._metrics.frames_decoded.inc(frames)

    def on_outcome(self, run: Run, outcome: Outcome) -> None:
        self._mailbox.put(Ended(run, outcome))

    # The rest.

    def _on_redis(self, reachable: bool) -> None:
        self._health.redis = reachable

    def _states(self) -> dict[str, int]:
        counts = dict.fromkeys(StreamState, 0)
        for run in self.runs.all():
            counts[run.state] += 1
        return {str(state): count for state, count in counts.items()}

    def _stop_streams(self, wanted: Callable[[Run], bool]) -> None:
        for run in self.runs.all():
            if wanted(run) and run.stream is not None:
                self._intake.call(run.stream.stop)

    def _kill_stream(self, run: Run) -> None:
        self._inferring.forget(run)
        if run.stream is not None:
            self._intake.call(run.stream.kill)

    def _spawn(self, name: str, turn: Callable[[], None], stop: threading.Event) -> None:
        def loop() -> None:
            try:
                while not stop.is_set():
                    self._health.beat(name)
                    turn()
                self._health.forget(name)
            except BaseException as error:
                # No silent half-life: one dead thread ends the service.
                self.failure = self.failure or error
                log.error("thread died", thread=name, exc_info=True)
                self._on_failure()

        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _join(self, name: str) -> None:
        for thread in self._threads:
            if thread.name == name:
                thread.join(10.0)


class _Listener:
    """A stream's news with the run they are about."""

    def __init__(self, pipeline: Pipeline, run: Run) -> None:
        self._pipeline = pipeline
        self._run = run

    def on_sample(self, stream: Stream, session: DecoderSession, message: SampleMessage) -> None:
        self._pipeline.on_sample(self._run, session, message)

    def on_lost(self, stream: Stream, kind: str, sample: Sample, reason: str, detail: str) -> None:
        self._pipeline.on_lost(self._run, kind, sample, reason, detail)

    def on_decoded(self, stream: Stream, frames: int) -> None:
        self._pipeline.on_decoded(frames)

    def on_state(self, stream: Stream, state: StreamState, detail: str) -> None:
        self._pipeline.on_state(self._run, state, detail)

    def on_gap(self, stream: Stream, reason: str) -> None:
        self._pipeline.on_gap(self._run, reason)

    def on_outcome(self, stream: Stream, outcome: Outcome) -> None:
        self._pipeline.on_outcome(self._run, outcome)
