"""The engines that were chosen here before, in the cache folder: one small file for each network on each machine."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import EngineChoice
from streamtag.errors import in_words
from streamtag.logs import log
from streamtag.networks.engines.candidates import PRECISIONS
from streamtag.networks.engines.machine import this_machine
from streamtag.networks.file_lock import locked
from streamtag.networks.weights.fetching import cache_folder
from streamtag.settings import EngineSettings, ModelSettings

MEASURED_AS = 2  # a change of what is measured, or how, makes all earlier choices another machine's
MAX_BYTES = 64 * 1024
_CHOICE = TypeAdapter(EngineChoice)


class EngineChoices:
    """What was chosen for one network on this machine. Whatever else is in the file counts as nothing at all.

    Args:
        weights_digest: SHA-256 of the bundle's weights, which whoever starts has worked out already.
    """

    def __init__(self, model: ModelSettings, engine: EngineSettings, bundle: Bundle, weights_digest: str) -> None:
        self.machine = this_machine()
        identity = {
            "measured_as": MEASURED_AS,
            "network": _network(bundle, weights_digest),
            "machine": self.machine.identity(),
            "asked": engine.model_dump(
                mode="json", include={"precision", "buckets", "threads", "agreement_16bit", "agreement_int8"}
            ),
        }
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        self.path = cache_folder(model) / "engines" / f"{bundle.name[:40].replace(os.sep, '_')}-{key[:16]}.json"

    def read(self) -> EngineChoice | None:
        """The choice, if there is one that can be understood."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError:
            return None
        try:
            if len(content) > MAX_BYTES:
                raise ValueError("too long")
            choice = _CHOICE.validate_json(content, strict=True)
            if choice.precision not in PRECISIONS.get(choice.engine, ()):
                raise ValueError(f"{choice.engine} {choice.precision} is no engine")
        except (ValidationError, ValueError) as error:
            log.warning("engine choice cannot be read", file=str(self.path), error=str(error).splitlines()[0])
            return None
        return replace(choice, origin="kept")

    def keep(self, choice: EngineChoice) -> None:
        """Write it in one step. A folder that cannot be written costs measuring again, and no more."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            number, part = tempfile.mkstemp(dir=self.path.parent, prefix=".part-")
            try:
                with os.fdopen(number, "w", encoding="utf-8") as file:
                    json.dump(asdict(choice), file, indent=1)
                Path(part).replace(self.path)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
        except OSError as error:
            log.warning("engine choice cannot be kept", file=str(self.path), error=in_words(error))

    @contextmanager
    def locked(self, limit_s: float) -> Iterator[None]:
        """Let one process of this machine measure at a time: two would measure each other. Waits so long at most."""
        with locked(self.path.parent / "lock", limit_s):
            yield


def _network(bundle: Bundle, weights_digest: str) -> dict[str, object]:
    """What of a bundle bears on speed and on rounding."""
    return {
        "architecture": bundle.architecture,
        "arguments": bundle.arguments,
        "classes": bundle.classes,
        "input": asdict(bundle.preprocessing),
        "weights": weights_digest,
        "quantised": bundle.quantised.sha256 if bundle.quantised else "",
    }
