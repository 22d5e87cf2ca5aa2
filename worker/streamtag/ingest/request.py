"""What a decoder process is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Decode, Region, Sampling
from streamtag.ingest.turns import Turns
from streamtag.settings import SourceSettings


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
    pictures: tuple[str, ...] = ()  # image files to read in this order, in place of the source
    gate_port: int = 0  # where the gate of a source on the network listens
    may_turn_live: bool = False  # the job leaves it to the source whether it goes on for ever
    decode: Decode = "auto"  # how much of a live stream, unless the job says
    regions: tuple[Region | None, ...] = (None,)  # of each frame, a sample each; None is all of it
    credential: str = ""  # that the job names for it
    resume_regions: int = 1  # those of the frame ``resume_index`` that are done
    turns: Turns | None = None  # in which it is decoded

    @property
    def decode_mode(self) -> Decode:
        """How much of a live stream is decoded."""
        return "keyframes" if self.sampling.keyframes else self.sampling.decode or self.decode
