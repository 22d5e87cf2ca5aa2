"""Small copies of pictures, for plots. Decodes, so it runs in a process of its own; only plain pixels leave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext

import cv2
import numpy as np

from streamtag.errors import StreamtagError
from streamtag.ingest.confined import confine_process
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.gate import GateClient, gate_for
from streamtag.ingest.geometry import as_bgr
from streamtag.ingest.opening import locate, open_reader
from streamtag.ingest.readers import CorruptFrame
from streamtag.settings import SourceSettings


def thumbnails(
    sources: Sequence[str], side: int, settings: SourceSettings, context: ForkServerContext
) -> Iterator[np.ndarray | None]:
    """The first frame of each source, (h, w, 3) uint8 RGB ``side`` pixels at most; None if unreadable."""
    with ExitStack() as gates:
        gated = [(source, gates.enter_context(gate_for(source, settings, context))) for source in sources]
        yield from _thumbnails(gated, side, settings, context)


def _thumbnails(
    sources: list[tuple[str, int]], side: int, settings: SourceSettings, context: ForkServerContext
) -> Iterator[np.ndarray | None]:
    """
    Args:
        sources: each with the port of its gate, 0 for none.
    """
    at = 0
    while at < len(sources):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_main, args=(sources[at:], side, settings, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            while at < len(sources):
                # A source that takes longer than a decoder may be silent is treated as one that killed it.
                if not ours.poll(settings.watchdog_s):
                    raise EOFError
                shape = ours.recv()
                yield None if shape is None else np.frombuffer(ours.recv_bytes(), np.uint8).reshape(shape)
                at += 1
        except EOFError:
            yield None
            at += 1
        finally:
            process.kill()
            process.join(1.0)
            ours.close()


def _main(sources: list[tuple[str, int]], side: int, settings: SourceSettings, parent: Connection) -> None:
    confine_process(settings)
    log = ErrorLog()
    for source, port in sources:
        try:
            gate = GateClient(port, source) if port else None
            reader = open_reader(locate(source, settings), settings, log, gate)
            picture = _small(as_bgr(reader.retrieve()), side) if next(reader.frames(), None) else None
            reader.close()
        except (StreamtagError, CorruptFrame, cv2.error):
            picture = None
        parent.send(None if picture is None else picture.shape)
        if picture is not None:
            parent.send_bytes(picture.tobytes())


def _small(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
