"""The process that measures engines: it can be ended whatever an engine does, and takes its memory along.

Commands come as lines of JSON on standard input, and each is answered by one on standard output. A process has one
framework of Keras's, TensorFlow or JAX. It ends when its standard input does, so it never outlives who started it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from streamtag.errors import StreamtagError
from streamtag.logs import quiet_stderr
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.drawn import COMPARED, blots, until_enough
from streamtag.networks.engines.base import Engine
from streamtag.networks.engines.gpu import has_gpu
from streamtag.networks.loading import (
    bundle_with_weights,
    compile_converted,
    compile_model,
    kept_conversion,
)
from streamtag.networks.random_weights import build_to_compare
from streamtag.settings import EngineSettings, ModelSettings

if TYPE_CHECKING:
    from streamtag.networks.engines.openvino_engine import Converted

COMPARE_S = 5.0  # of an engine's time for it


class Measured:
    """A network and the engines that it was compiled for."""

    def __init__(self, model: ModelSettings, engine: EngineSettings) -> None:
        self._models = model
        self._bundle = bundle_with_weights(model)
        self._weights_digest = weights_sha256(self._bundle)
        self._settings = engine
        self._pictures = blots(COMPARED, self._bundle.preprocessing.size)
        self.model = build_to_compare(self._bundle, engine)
        self._engines: dict[tuple[str, str], Engine] = {}
        self._conversions: dict[Path, Converted] = {}
        with quiet_stderr():
            self.gpu = has_gpu(engine.name)
        self._batch = max(engine.buckets or (64 if self.gpu else 8,))

    def compile(self, engine: str, precision: str) -> dict[str, Any]:
        """Compile for an engine: its first rate, and the best class of each of some pictures."""
        chosen = {"name": engine, "precision": precision, "buckets": [self._batch]}
        settings = self._settings.model_copy(update=chosen)
        if engine == "openvino":
            network = compile_converted(self._converted(precision), self._bundle, settings)
        else:
            network = compile_model(self.model, self._bundle, settings)
        self._engines[engine, precision] = network.engine
        best: list[int] = []
        for part in until_enough(self._pictures, self._batch, COMPARE_S):
            best += network.engine.predict(part).argmax(axis=1).tolist()
        return {"images_per_s": self._batch / network.warm_up.batch_s[self._batch], "best": best}

    def _converted(self, precision: str) -> Converted:
        """Once for all precisions in floats, and kept for the worker that will take it.

        Of the model that the others are compiled of: what was kept before may be of other random weights.
        """
        kept = kept_conversion(self._models, self._bundle, precision, self._weights_digest)
        if kept.folder not in self._conversions:
            with kept.locked():
                self._conversions[kept.folder] = kept.make(self.model)
        return self._conversions[kept.folder]

    def time(self, engine: str, precision: str, seconds: float) -> dict[str, Any]:
        """The rate of an engine, over at least two batches."""
        compiled = self._engines[engine, precision]
        pictures = np.resize(self._pictures, (self._batch, *self._pictures.shape[1:]))
        count, began_s = 0, time.perf_counter()
        while count < 2 or time.perf_counter() - began_s < seconds:
            compiled.dispatch(pictures).result()
            count += 1
        return {"images_per_s": count * self._batch / (time.perf_counter() - began_s)}

    def drop(self, engine: str, precision: str) -> dict[str, Any]:
        """Free an engine's memory."""
        self._engines.pop((engine, precision), None)
        return {}


def main() -> None:
    """Answer until standard input ends."""
    # What frameworks print must not come among the answers.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    first = json.loads(commands.get())
    try:
        measured = Measured(ModelSettings(**first["model"]), EngineSettings(**first["engine"]))
    except StreamtagError as error:
        _reply(replies, {"fault": str(error)})
        return
    _reply(replies, {"gpu": measured.gpu})
    actions: dict[str, Callable[..., dict[str, Any]]] = {
        "compile": measured.compile,
        "time": measured.time,
        "drop": measured.drop,
    }
    while True:
        command = json.loads(commands.get())
        try:
            _reply(replies, actions[command.pop("do")](**command))
        except Exception as error:  # whatever a framework raises is about that engine alone
            _reply(replies, {"fault": f"{type(error).__name__}: {error}".splitlines()[0][:300]})


def _read(commands: queue.Queue[str]) -> None:
    """Hand on each command at once, and see the end also while an engine compiles."""
    for line in sys.stdin:
        commands.put(line)
    os._exit(0)


def _reply(replies: TextIO, content: dict[str, Any]) -> None:
    replies.write(json.dumps(content) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
