"""What a decoder process costs a sample, as a ratio to the loop that one writes by hand, in CPU and not in time.

By hand: OpenCV reads each frame, and resizes those that are wanted with INTER_AREA. Ours is the decoder that a worker
starts, its cage and its comparisons of pictures included. They take turns, round after round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.errors import StreamtagError
from streamtag.ingest import wire
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession
from streamtag.settings import Settings
from streamtag.tools.bench.film import FPS, given_or_drawn

ROUNDS = 3
SIZE_PX = 299


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """One way of sampling a film."""

    sampled: str
    samples: int
    cpu_ms: float  # of a sample, median of the rounds
    cpu_ms_least: float
    cpu_ms_most: float
    by_hand_ms: float  # the same of the loop by hand, for as many samples
    ratio: float  # median over the rounds of both


def measure(settings: Settings, film: Path | None, seconds: float, on_start: Callable[[str], None]) -> list[DecodeRow]:
    """Sample a film in three ways.

    Args:
        film: a file; by default one is drawn, 1080p H.264 at 25 frames a second with a key frame each second.
        seconds: of the film that is drawn.
        on_start: told what is being done.

    Raises:
        StreamtagError: the film cannot be read.
    """
    if film is None:
        on_start("drawing a film")
    with given_or_drawn(film, seconds) as path:
        ways = {
            "5 a second": Sampling(fps=5.0),
            "every frame": Sampling(every=1),
            "key frames": Sampling(keyframes=True),
        }
        found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in ways}
        for number in range(1, ROUNDS + 1):
            for name, sampling in ways.items():
                on_start(f"round {number} of {ROUNDS}: {name}")
                samples, cpu_s = decoder_cpu(settings, path, sampling, Preprocessing(SIZE_PX))
                found[name].append((samples, cpu_s, _by_hand(path, samples)))
        return [_row(name, rounds) for name, rounds in found.items()]


def _row(name: str, rounds: list[tuple[int, float, float]]) -> DecodeRow:
    samples = rounds[0][0]
    ours, theirs = ([1000 * spent[at] / samples for spent in rounds] for at in (1, 2))
    return DecodeRow(
        name,
        samples,
        round(statistics.median(ours), 2),
        round(min(ours), 2),
        round(max(ours), 2),
        round(statistics.median(theirs), 2),
        round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 3),
    )


def decoder_cpu(settings: Settings, film: Path, sampling: Sampling, preprocessing: Preprocessing) -> tuple[int, float]:
    """Samples of a film and the CPU of their decoder, which is told with each.

    Raises:
        StreamtagError: it cannot be read, or there is no frame in it.
    """
    request = Request(str(film), False, sampling, float(FPS), preprocessing, settings.source, 8, -1, 0, 0)
    samples, cpu_s = 0, 0.0
    with DecoderSession(request) as session:
        for message in session.messages(settings.source.watchdog_s):
            match message:
                case wire.SampleMessage():
                    samples += 1
                    cpu_s += message.decode_s
                    session.release(message.sample.slot)
                case wire.DecoderFailed():
                    raise StreamtagError(f"{film}: {message.reason}")
    if not samples:
        raise StreamtagError(f"{film}: no frame in it")
    return samples, cpu_s


def _by_hand(film: Path, samples: int) -> float:
    """CPU of reading a film with OpenCV, so many of its frames resized."""
    capture = cv2.VideoCapture(str(film), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    frames = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    began_s, resized, number = time.process_time(), 0, 0
    while True:
        there, frame = capture.read()
        if not there:
            break
        if number * samples // frames >= resized:
            cv2.resize(frame, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
            resized += 1
        number += 1
    spent_s = time.process_time() - began_s
    cv2.setNumThreads(threads)
    capture.release()
    return spent_s
