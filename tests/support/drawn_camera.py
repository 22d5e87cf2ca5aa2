"""A live camera without a codec: a decoder's entry point that sends samples of a drawn picture at a steady rate."""

from __future__ import annotations

import socket
import time

from streamtag.core.records import Sample
from streamtag.ingest import wire
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory, Slots


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """Entry point, in place of the decoder's. The source ends with its samples a second, ``/camera-3/10``."""
    period_s = 1.0 / float(request.source.rsplit("/", 1)[1])
    slots = Slots(memory, request.slots, request.preprocessing)
    parent.sendall(wire.pack(wire.Opened(640, 360, 1.0 / period_s, 0)))
    began_s, number = time.monotonic(), 0
    while True:
        number += 1
        time.sleep(max(0.0, began_s + number * period_s - time.monotonic()))
        index, counts = request.decoded + number - 1, (request.decoded + number, request.sampled + number)
        pts_s, captured_unix_s = number * period_s, time.time()
        slot = slots.take()
        message: wire.Message
        if slot is None:
            message = wire.FrameDropped(index, pts_s, captured_unix_s, *counts, "backpressure")
        else:
            slots.pictures[slot] = number % 256
            sample = Sample(index, pts_s, captured_unix_s, slot, 0.0, *counts)
            message = wire.SampleMessage(sample, 0.1, 0.5, 0.0)
        try:
            parent.sendall(wire.pack(message))
        except OSError:
            return
