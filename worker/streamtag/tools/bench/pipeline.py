"""Films through a worker, by what its decoders and its network would allow if they were all there is.

What is possible follows from the processor time that decoding and inference take for a sample when nothing else of ours
runs: ``cores / (decode + inference)`` samples a second. All three take turns, round after round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from streamtag.core.job import Sampling
from streamtag.networks.engines.machine import this_machine
from streamtag.networks.loading import LoadedNetwork, load
from streamtag.settings import Settings
from streamtag.tools.bench.decoding import decoder_cpu
from streamtag.tools.bench.own_worker import OwnWorker, own_worker
from streamtag.tools.bench.turns import Spread

GOAL = 0.97
INFERENCE_S = 1.5  # of a round


@dataclass(frozen=True, slots=True)
class PipelineRow:
    """All of a worker beside its two parts. Times are of processor, medians of the rounds, for one sample."""

    engine: str
    films: int  # at once
    samples: int  # of a round
    samples_per_s: Spread
    decode_ms: float  # alone
    inference_ms: float  # alone, in full batches
    possible_per_s: float  # by these two, on all cores
    ratio: float  # of samples_per_s to it, median over the rounds
    worker_ms: float  # all that the worker takes: its process, its decoders, its Redis
    cpu_ratio: float  # the two parts by all that, median over the rounds; others on the machine do not lower it
    goal: float = GOAL


@dataclass(frozen=True, slots=True)
class _Round:
    samples: int
    rate: float
    decode_s: float  # these of one sample
    inference_s: float
    worker_s: float


def measure(
    settings: Settings, films: Sequence[Path], every: int, rounds: int, on_start: Callable[[str], None]
) -> PipelineRow:
    """Run films as jobs, all at once, between rounds of decoding and of inference alone.

    Args:
        every: how many-th frame is a sample.

    Raises:
        StreamtagError: the network cannot be had, or a film cannot be read.
    """
    on_start("loading the network")
    network = load(settings, lambda step: on_start(str(step)), measure=True)
    cores = this_machine().cores
    with own_worker(settings, network, slots=len(films)) as worker:
        told = [
            _round(worker, network, films, every, lambda what, at=at: on_start(f"round {at} of {rounds}: {what}"))  # type: ignore[misc]
            for at in range(1, rounds + 1)
        ]
    alone = [one.decode_s + one.inference_s for one in told]
    return PipelineRow(
        engine=f"{network.choice.engine} {network.choice.precision}",
        films=len(films),
        samples=told[0].samples,
        samples_per_s=Spread.of([one.rate for one in told], 1),
        decode_ms=round(1000 * median(one.decode_s for one in told), 2),
        inference_ms=round(1000 * median(one.inference_s for one in told), 2),
        possible_per_s=round(cores / median(alone), 1),
        ratio=round(median(one.rate * parts / cores for one, parts in zip(told, alone, strict=True)), 3),
        worker_ms=round(1000 * median(one.worker_s for one in told), 2),
        cpu_ratio=round(median(parts / one.worker_s for one, parts in zip(told, alone, strict=True)), 3),
    )


def _round(
    worker: OwnWorker, network: LoadedNetwork, films: Sequence[Path], every: int, on_start: Callable[[str], None]
) -> _Round:
    on_start("decoding")
    decoded = [
        decoder_cpu(worker.service.settings, film, Sampling(every=every), network.bundle.preprocessing)
        for film in dict.fromkeys(films)
    ]
    on_start("inference")
    inference_s = _inference(network)
    on_start("all of it")
    before_s = worker.cpu_s()
    samples, seconds = worker.publish(films, every)
    worker_s = (worker.cpu_s() - before_s) / samples
    decode_s = sum(cpu_s for _, cpu_s in decoded) / sum(count for count, _ in decoded)
    return _Round(samples, samples / seconds, decode_s, inference_s, worker_s)


def _inference(network: LoadedNetwork) -> float:
    """Processor time of a picture in full batches."""
    bucket = network.engine.buckets[-1]
    shape = (bucket, *network.bundle.preprocessing.shape)
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    network.engine.dispatch(pictures).result()
    began_s, began_cpu_s, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began_s < INFERENCE_S or count < 2:
        network.engine.dispatch(pictures).result()
        count += 1
    return (time.process_time() - began_cpu_s) / (count * bucket)
