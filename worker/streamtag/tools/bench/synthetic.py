"""A decoder process that decodes nothing: samples as fast as slots come back."""

from __future__ import annotations

import socket
import time

import numpy as np

from streamtag.core.records import Sample
from streamtag.ingest import wire
from streamtag.ingest.decoder import Request
from streamtag.ingest.slots import WAIT_S, SlotMemory, Slots


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """Entry point, in place of the decoder's. The source says how many samples, ``/synthetic/N``."""
    total = int(request.source.rsplit("/", 1)[1])
    slots = Slots(memory, request.slots, request.preprocessing)
    slots.pictures[:] = np.random.default_rng(total).integers(0, 256, slots.pictures.shape, np.uint8)
    parent.sendall(wire.pack(wire.Opened(640, 360, 25.0, total * 5)))
    for number in range(1, total + 1):
        while (slot := slots.take()) is None:
            time.sleep(WAIT_S)
        index = (number - 1) * 5
        sample = Sample(index, index / 25.0, time.time(), slot, 0.0, index + 1, number)
        parent.sendall(wire.pack(wire.SampleMessage(sample, 0.1, 0.5, 0.0)))
    parent.sendall(wire.pack(wire.Ended(total * 5, total)))
