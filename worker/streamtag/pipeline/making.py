"""A run from a claim: its track, its gates, what it asks for."""

from __future__ import annotations

from streamtag.core.album import PictureGate
from streamtag.core.bundle import Bundle
from streamtag.core.motion_gate import MotionGate
from streamtag.core.records import Claim
from streamtag.core.sharing import asked_per_s
from streamtag.core.source import SourceKind
from streamtag.core.track import Track
from streamtag.ingest.stream import Stream
from streamtag.pipeline.run import Run
from streamtag.settings import Settings


def make_run(claim: Claim, stream: Stream, bundle: Bundle, settings: Settings) -> Run:
    """A run that reads a stream and publishes what is found in it.

    Raises:
        RejectJob: the job asks for what the network does not have.
    """
    track, job = _track(claim, bundle, settings), claim.job
    asked = asked_per_s(job.sampling, settings.sampling.live_fps) * len(job.regions) if job.is_live else 0.0
    run = Run(claim, track, stream, asked, _gates(claim, track, settings))
    if settings.view.thumbnails:
        run.picture_gates = [PictureGate(settings.view.thumbnail_every_s) for _ in job.regions]
    return run


def _track(claim: Claim, bundle: Bundle, settings: Settings) -> Track:
    job, smoothing = claim.job, settings.smoothing
    if job.kind in (SourceKind.IMAGE, SourceKind.IMAGES) and not smoothing.images:
        smoothing = smoothing.model_copy(update={"method": "none", "min_on_s": 0.0, "min_off_s": 0.0})
    return Track(claim, bundle, smoothing, settings.sampling.step_s(job.sampling, job.is_live))


def _gates(claim: Claim, track: Track, settings: Settings) -> list[MotionGate]:
    """One for each region, where the job or the settings ask for them."""
    asked, usual = claim.job.sampling, settings.sampling
    change = usual.motion_gate if asked.motion_gate is None else asked.motion_gate
    max_s = usual.motion_gate_max_s if asked.motion_gate_max_s is None else asked.motion_gate_max_s
    return [MotionGate(change, max_s, region.reference) for region in track.regions] if change else []
