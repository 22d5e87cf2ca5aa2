"""READ FIRST: a frame's journey through the worker, and the threads that carry it.

::

    claims ──Claim──▶ intake ──PendingSample──▶ inference ──Classified──▶ commits ──▶ Redis
                        │                                                   ▲
                        └───────────────────── RunNews ─────────────────────┘    leases ──▶ Redis

1. **claims** (``claim_loop.py``) reads a job from the queue and acquires it. ``Pipeline.start_run`` makes of the claim
   a ``Run``: a ``Stream`` to read its source and a ``Track`` to publish it.
2. **intake** (``ingest/intake.py``) starts the stream's ``DecoderSession``: a process that opens, grabs, samples,
   retrieves and resizes into a shared-memory slot (``ingest/decoder.py``), and says so over a socket. What it says is
   checked (``ingest/wire.py``); what the stream is doing, and when it is tried again, follows from that and from the
   clock (``core/stream_state.py``). The stream emits events, and ``Pipeline.route`` sends each on its way.
3. A sample goes into the batcher as a ``PendingSample``. **inference** (``inference_loop.py``) draws a batch across
   all streams, copies the pictures out of their slots, gives the slots back, and runs the engine.
4. The scores go to **commits** (``commit_loop.py``), and so does all other news of a run: each ``Track`` smooths them,
   notes which labels enter or exit, and every 0.25 s one script a job publishes results, events and checkpoint
   together; those of all jobs go in one round trip.
5. **leases** (``lease_loop.py``) renews every job's lease over a connection that nothing else uses.
6. **sharing** (``share_loop.py``) says how this worker fares and hears how others do. It gives live streams to
   those that have less to do (``giving.py``) or takes some (``taking.py``), opened before they are ours (``ahead.py``).
7. **pictures** (``picture_loop.py``), where ``view.thumbnails`` asks for it, makes small pictures of what came back
   from the device, and keeps the newest and those of labels that entered.

Every way is bounded. A finite decoder waits for a free slot, so a slow Redis holds the commits, full commits hold the
device, and the device holds the decoders. A live decoder never waits: its freshest
samples win, and what finds no slot, is superseded or grows stale before the device is free, is dropped and counted.

Whatever goes wrong about one job ends that job and nothing else: each loop draws the line with ``core/boundary.py``,
claims around an entry, intake around a stream, inference around a sample, commits around a run. What gets through ends
the thread, and a dead thread ends the service.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from streamtag.control_groups import cores
from streamtag.core.failure import Failure
from streamtag.core.lately import WorstLately
from streamtag.core.records import Claim
from streamtag.core.sharing import Spared, asked_per_s
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.ingest import decoder
from streamtag.ingest.intake import Intake
from streamtag.ingest.session import Decode
from streamtag.ingest.slots import MAX_SLOTS
from streamtag.ingest.stream import FramesDecoded, SampleReady, Stream, StreamEvent, Unclassified
from streamtag.ingest.turns import Turns
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.ahead import Ahead
from streamtag.pipeline.claim_loop import ClaimLoop
from streamtag.pipeline.commit_loop import CommitLoop
from streamtag.pipeline.gathering import Gathering
from streamtag.pipeline.giving import Giving
from streamtag.pipeline.health import Health
from streamtag.pipeline.inference_loop import InferenceLoop
from streamtag.pipeline.lease_loop import LeaseLoop
from streamtag.pipeline.looks import look_at
from streamtag.pipeline.making import make_run
from streamtag.pipeline.neighbours import Neighbours
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.picture_loop import PictureLoop
from streamtag.pipeline.presence import Presence
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Mailbox, PendingSample, Run, RunNews, Runs
from streamtag.pipeline.share_loop import LEAVING_S, ShareLoop
from streamtag.pipeline.slots import Slots
from streamtag.pipeline.taking import Taking
from streamtag.pipeline.threads import Threads
from streamtag.queue.session import QueueSession, QueueSessions
from streamtag.settings import Settings

MAILBOX_LIMIT = 64


class Pipeline:
    """The loops, the queues between them and their threads.

    Args:
        decode: what a decoder process runs; the benchmark of everything else gives one that decodes nothing.
    """

    def __init__(
        self,
        settings: Settings,
        network: LoadedNetwork,
        sessions: QueueSessions,
        threads: Threads,
        metrics: Metrics,
        health: Health,
        decode: Decode = decoder.main,
    ) -> None:
        self.runs = Runs()
        self._settings = settings
        self._bundle = network.bundle
        self._threads = threads
        self._metrics = metrics
        self._health = health
        self._decode = decode
        self._servers = sessions.claims.servers
        self._lag = WorstLately()
        self._lags_s: list[float] = []  # of this turn of the intake thread, whose it is; and so is the next
        self._frames_decoded = 0
        self._mailbox = Mailbox(MAILBOX_LIMIT)
        box = PictureBox()
        self._inference = InferenceLoop(network, settings.batching, self._mailbox, metrics, settings.source.slots, box)
        gathering = Gathering(self.runs, settings.batching, settings.worker.commit_s, network.engine.buckets[-1])
        # One more than cores, so that none of those is idle while a film waits for its disk.
        self._turns = Turns(cores() + 1)
        self._intake = Intake(self._mailbox.is_behind, gathering.period_s, self._go_on)
        self._commits = self._commit_loop(sessions.commits, box)
        trouble = Outage("pictures", metrics)
        self._pictures = PictureLoop(sessions.pictures, self.runs, box, settings.view, metrics, trouble)
        room = Room(sessions.claims, metrics)
        slots = Slots(settings.worker.slots)
        metrics.slots.set(slots.most)
        neighbours = Neighbours(slots, self.runs)
        outage = Outage("claims", metrics, self._on_redis)
        self._claims = ClaimLoop(sessions.claims, self.runs, metrics, self.start_run, outage, room, slots, neighbours)
        outage = Outage("leases", metrics, self._on_redis)
        self._leases = LeaseLoop(sessions.leases, self.runs, metrics, self._abandon, self._cancel, outage)
        presence = Presence(
            sessions.sharing.consumer, network, slots, self.runs, self._inference, self._lag, metrics, health, room
        )
        self._sharing = self._share_loop(sessions.sharing, presence, neighbours)
        self._stop_claims = threading.Event()
        self._stop = threading.Event()

    def _commit_loop(self, session: QueueSession, box: PictureBox) -> CommitLoop:
        outage = Outage("commits", self._metrics)
        settings, metrics, gathered_s = self._settings.worker, self._metrics, self._intake.gathered_s
        kill = self._kill_stream
        return CommitLoop(session, self.runs, self._mailbox, settings, metrics, kill, outage, box, gathered_s)

    def _share_loop(self, session: QueueSession, presence: Presence, neighbours: Neighbours) -> ShareLoop:
        runs, metrics = self.runs, self._metrics
        taking = Taking(session.handovers(), runs, metrics, self._open_ahead, self._adopt, self._let_go)
        outage = Outage("sharing", metrics, self._on_redis)
        return ShareLoop(session, presence, neighbours, Giving(runs, metrics), taking, outage)

    def start(self) -> None:
        """Start the threads, those that others hand something to before those others."""
        self._metrics.watch_streams(lambda: look_at(self.runs))
        self._threads.spawn("commits", self._commits.run_once, self._stop)
        self._threads.spawn("inference", lambda: self._inference.run_once(self._stop), self._stop)
        self._threads.spawn("intake", self._intake.run_once, self._stop)
        self._threads.spawn("leases", self._renew_leases, self._stop)
        self._threads.spawn("sharing", self._sharing.run_once, self._stop)
        if self._settings.view.thumbnails:
            self._threads.spawn("pictures", self._pictures.run_once, self._stop)
        self._threads.spawn("claims", lambda: self._claims.run_once(self._stop_claims), self._stop_claims)

    def drain(self, deadline_s: float) -> None:
        """Take no new job; hand live ones over or back now, and finite ones of which nothing comes, which have nothing
        to finish; the others when they end or at the deadline."""
        self._stop_claims.set()
        self._give_away(min(deadline_s, time.monotonic() + LEAVING_S))
        self._threads.join("claims")
        self._wait_for_runs(deadline_s, lambda run: run.live or not run.state.has_pictures)
        self._stop_streams(lambda run: True)

    def stop(self, deadline_s: float) -> None:
        """End everything, in the order of the frames; the leases last, so that what is flushed is still ours."""
        self._wait_for_runs(deadline_s)
        self._stop.set()
        for sleeps in (self._intake, self._inference, self._mailbox, self._sharing):
            sleeps.wake()
        self._threads.join("intake", "inference", "commits", "sharing", "pictures", "leases")
        self._intake.close()
        self._turns.close()

    def start_run(self, claim: Claim) -> None:
        """Make a claim a run: a stream that reads it and a track that publishes it. Called by the claims thread."""

        def emit(event: StreamEvent) -> None:
            self.route(run, event)  # the first event comes when intake has started the stream

        stream = self._stream(claim, emit)
        run = self._run(claim, stream)
        if self.runs.add(run):
            self._mailbox.wake()
            self._metrics.leases.set(len(self.runs))
            log.info("job started", **run.named, source=claim.job.redacted_source, delivery=claim.deliveries)
            if claim.fence == 1 and claim.job.holds_secret:
                log.warning("its source may hold a credential, which lies in Redis until it is over", **run.named)
            self._intake.add(stream)

    def _open_ahead(self, claim: Claim) -> Ahead:
        """Open the stream of a job that another worker offers. Called by the sharing thread, as the next two are."""
        period_s = 1.0 / asked_per_s(claim.job.sampling, self._settings.sampling.live_fps)
        # Whole frames, of which each region takes a slot; the next one must find some free.
        regions, slots = len(claim.job.regions), self._settings.source.slots
        hold = max(1, min(slots, MAX_SLOTS // regions) - 2) * regions
        ahead = Ahead(claim, period_s, hold, self._sharing.wake)
        ahead.stream = self._stream(claim, ahead.emit)
        self._intake.add(ahead.stream)
        return ahead

    def _adopt(self, ahead: Ahead, claim: Claim, asked: float) -> None:
        """The job of an open stream is ours: make it a run that asks for what its last owner found."""
        run = self._run(claim, ahead.stream)
        run.state = ahead.state
        if run.gates:
            run.spared = Spared(run.asked, at_first=asked)
            run.asked = run.spared.now

        def deliver(event: StreamEvent) -> None:
            self.route(run, event)

        self.runs.add(run)
        self._mailbox.wake()
        self._metrics.leases.set(len(self.runs))
        log.info("stream taken from another worker", **run.named, source=claim.job.redacted_source)
        regions_s = run.track.regions_pts_s
        self._intake.call(ahead.stream, lambda: ahead.go_on(claim.checkpoint, regions_s, deliver))

    def _let_go(self, ahead: Ahead) -> None:
        self._intake.kill(ahead.stream)

    def _stream(self, claim: Claim, emit: Callable[[StreamEvent], None]) -> Stream:
        source = self._settings.guarded_source(self._servers())
        sampling, turns = self._settings.sampling, self._turns
        return Stream(claim, self._bundle.preprocessing, source, sampling, emit, self._decode, turns)

    def _run(self, claim: Claim, stream: Stream) -> Run:
        return make_run(claim, stream, self._bundle, self._settings)

    def route(self, run: Run, event: StreamEvent) -> None:
        """Send what a stream emits on its way. Called by the intake thread."""
        match event:
            case SampleReady(session, sample, decode_s):
                if run.live and not run.in_segments:
                    self._lags_s.append(max(0.0, time.time() - sample.captured_unix_s))
                self._inference.put(PendingSample(run, session, sample, decode_s), self._intake.gathers)
                return
            case FramesDecoded(count):
                self._frames_decoded += count
                return
            case Unclassified():
                self._metrics.samples.labels(run.kind).inc()
            case StateChanged(state, detail, failure):
                if failure is not None:
                    self._metrics.reconnects.labels(state).inc()
                    self._metrics.failed_connection(failure, again=True)
                log.info("stream state", **run.named, state=state, detail=detail)
            case Outcome(OutcomeKind.TURNED_LIVE):
                self._run_as_live(run)
                return
            case Outcome(failure=Failure() as failure):
                self._metrics.failed_connection(failure, again=False)
        self._mailbox.put(RunNews(run, event, time.time()))

    def _go_on(self) -> None:
        """All that came in one turn of the intake thread, which calls this, is counted and on its way. The device's
        thread comes last: woken before, it would wait for the interpreter's lock."""
        if self._frames_decoded:
            self._metrics.frames_decoded.inc(self._frames_decoded)
            self._frames_decoded = 0
        if self._lags_s:
            self._metrics.lag_s.observe(self._lags_s)
            self._lag.see(max(self._lags_s), time.monotonic())
            self._lags_s.clear()
        self._inference.go_on()

    def _run_as_live(self, run: Run) -> None:
        """Begin anew: times, ids and what happens at a failure are others for a live source. Nothing was published."""
        self.runs.remove(run)
        self.start_run(replace(run.claim, job=replace(run.claim.job, live=True)))

    # What the leases and the commits thread call.

    def _abandon(self, run: Run, reason: str) -> None:
        run.lease_lost = True
        if not run.offered_to:
            log.warning("job given up", **run.named, reason=reason)
        self._kill_stream(run)

    def _cancel(self, run: Run) -> None:
        run.cancelled = True
        self._kill_stream(run)

    def _kill_stream(self, run: Run) -> None:
        self._inference.forget(run)
        self._intake.kill(run.stream)
        self._mailbox.wake()

    # The rest.

    def _renew_leases(self) -> None:
        self._leases.run_once()
        self._stop.wait(self._leases.patience_s())

    def _on_redis(self, reachable: bool) -> None:
        self._health.redis = reachable

    def _give_away(self, deadline_s: float) -> None:
        """Let others open the live streams before they end here."""
        self._sharing.leave(deadline_s)
        while not self._sharing.has_left and time.monotonic() < deadline_s and self._threads.failure is None:
            time.sleep(0.02)

    def _stop_streams(self, wanted: Callable[[Run], bool]) -> None:
        for run in self.runs.all():
            if run.outcome is None and wanted(run):
                self._intake.stop(run.stream)

    def _wait_for_runs(self, deadline_s: float, end: Callable[[Run], bool] = lambda _: False) -> None:
        while len(self.runs) and time.monotonic() < deadline_s and self._threads.failure is None:
            self._stop_streams(end)
            time.sleep(0.02)
