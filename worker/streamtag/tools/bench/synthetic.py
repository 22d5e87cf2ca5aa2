"""A decoder process that decodes nothing: samples as fast as slots come back, or so many a second as a camera's."""

from __future__ import annotations

import random
import socket
import time
from itertools import count
from typing import NoReturn

import numpy as np

from streamtag.core.records import Sample
from streamtag.ingest import wire
from streamtag.ingest.decoder import QUIET_S
from streamtag.ingest.request import Request
from streamtag.ingest.slots import WAIT_S, SlotMemory, Slots

_FRAMES = 5  # for each sample


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """Entry point, in place of the decoder's.

    The source says how many samples, ``/synthetic/N``; a live one never ends.
    """
    total = int(request.source.rsplit("/", 1)[1])
    slots = Slots(memory, request.slots, request.preprocessing)
    slots.pictures[:] = np.random.default_rng(total).integers(0, 256, slots.pictures.shape, np.uint8)
    parent.sendall(wire.pack(wire.Opened(640, 360, 25.0, 0 if request.live else total * _FRAMES)))
    if request.live:
        _live(request.sampling.fps or request.default_fps, parent, slots)
    for number in range(1, total + 1):
        _send(number, 5.0, parent, slots)
    parent.sendall(wire.pack(wire.Ended(total * _FRAMES, total)))


def _live(rate: float, parent: socket.socket, slots: Slots) -> NoReturn:
    """A sample each period, and between them the signs of life that a decoder gives of frames that are none."""
    next_s = time.monotonic() + random.random() / rate  # cameras keep no step
    for number in count(1):
        while (left_s := next_s - time.monotonic()) > QUIET_S:
            time.sleep(QUIET_S)
            parent.sendall(wire.pack(wire.Progress((number - 1) * _FRAMES, number - 1)))
        time.sleep(max(0.0, left_s))
        next_s += 1.0 / rate
        _send(number, rate, parent, slots)
    raise AssertionError("counting has no end")


def _send(number: int, rate: float, parent: socket.socket, slots: Slots) -> None:
    while (slot := slots.take()) is None:
        time.sleep(WAIT_S)
    index = (number - 1) * _FRAMES
    sample = Sample(index, (number - 1) / rate, time.time(), slot, 0.0, index + 1, number)
    parent.sendall(wire.pack(wire.SampleMessage(sample, 0.1, 0.5, 0.0)))
