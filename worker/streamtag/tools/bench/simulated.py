"""A worker whose device only takes its time: ``python -m streamtag.tools.bench.simulated``, for ``bench scale``.

All of it is real but the decoders, which decode nothing, and the network: each batch is answered after so long, during
which the processor has nothing to do, as beside a graphics card.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamtag import logs
from streamtag.configuration import load, parse_override
from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import EngineChoice
from streamtag.networks.engines.base import Engine, Pending, WarmUp
from streamtag.networks.engines.null import NullEngine
from streamtag.networks.loading import LoadedNetwork
from streamtag.networks.registry import resolve
from streamtag.pipeline.service import Service
from streamtag.settings import EngineSettings
from streamtag.tools.bench import synthetic

BATCH = 8


@dataclass(frozen=True, slots=True)
class _Later:
    """Scores that are there from a moment on."""

    scores: np.ndarray
    at_s: float

    def result(self) -> np.ndarray:
        time.sleep(max(0.0, self.at_s - time.monotonic()))
        return self.scores


class SimulatedEngine(Engine):
    """Answers as the null engine does, so long after it was asked."""

    def __init__(self, bundle: Bundle, settings: EngineSettings, batch_s: float) -> None:
        self._null = NullEngine(bundle, settings)
        self.name, self.precision, self.device = "simulated", "none", "none"
        self.buckets, self.in_flight = (BATCH,), 1
        self._batch_s = batch_s

    def compile(self, bucket: int) -> None:
        """Nothing to compile."""

    def compilations(self) -> int:
        return 0

    def dispatch(self, pictures: np.ndarray) -> Pending:
        at_s = time.monotonic() + self._batch_s
        return _Later(self._null.dispatch(pictures).scores, at_s)


def main() -> int:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-ms", type=float, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    named = {"model.name": options.model, "model.weights": options.weights}
    settings, _origins = load(options.config, dict(map(parse_override, options.set)) | named)
    logs.configure(settings.log)
    bundle, batch_s = resolve(settings.model), options.batch_ms / 1000
    engine = SimulatedEngine(bundle, settings.engine, batch_s)
    warm_up = WarmUp({BATCH: 0.0}, {BATCH: batch_s})
    choice = EngineChoice(engine.name, engine.precision, "named", "a benchmark's")
    service = Service(settings, synthetic.main, LoadedNetwork(bundle, engine, warm_up, choice))
    service.install_signals()
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
