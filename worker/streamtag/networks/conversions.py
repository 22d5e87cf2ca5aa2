"""Networks that were converted for OpenVINO here before, in the cache folder: a folder for each.

A start that finds its own imports neither TensorFlow nor Keras. What is found is used if every byte is what was
written; anything else counts as nothing at all. Imports OpenVINO, whose telemetry is forbidden before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from pydantic import BaseModel, ConfigDict

from streamtag import __version__
from streamtag.core.bundle import Bundle
from streamtag.errors import in_words
from streamtag.logs import log, quiet_stderr
from streamtag.networks.bundles import sha256
from streamtag.networks.engines.machine import versions
from streamtag.networks.engines.openvino_engine import CHECKED, Converted, read_network
from streamtag.networks.file_lock import locked
from streamtag.networks.weights.fetching import cache_folder
from streamtag.settings import ModelSettings

if TYPE_CHECKING:
    import keras

LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "openvino")  # that make a network what it is
OF_A_NAME = 2  # networks of one name that are kept, those that were used last
IN_ALL = 8
MAX_BYTES = 64 * 1024  # of the file that tells what the others are
WAIT_S = 120.0  # for another process that converts the same network
_UNFINISHED_S = 3600.0  # after which nobody writes it any more


class Kept(BaseModel):
    """The content of ``kept.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    of: dict[str, Any]  # what was converted, and by what
    files: dict[str, str]  # name to SHA-256


class KeptConversion:
    """What was converted of one bundle for one precision. All that computes in floats is one.

    Args:
        weights_digest: SHA-256 of the bundle's weights, which whoever starts has worked out already.
    """

    def __init__(self, model: ModelSettings, bundle: Bundle, precision: str, weights_digest: str) -> None:
        self._bundle = bundle
        self._precision = precision
        self._names = ("in_float.npy",) if precision == "int8" else ("network.xml", "network.bin")
        identity = {
            "network": _network(bundle, weights_digest),
            "names": self._names,
            "libraries": dict(versions(LIBRARIES)),
            "streamtag": __version__,
            "sources": _sources_sha256(),
        }
        self._of: dict[str, Any] = json.loads(json.dumps(identity))  # as it is when it was read
        key = hashlib.sha256(json.dumps(self._of, sort_keys=True).encode()).hexdigest()
        self._name = re.sub(r"[^\w.]", "_", bundle.name[:40])  # a bundle may be called anything
        self.folder = cache_folder(model) / "converted" / f"{self._name}-{key[:16]}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process of this machine convert this network at a time; who waits finds what the other one made."""
        with locked(self._lock_of(self.folder), WAIT_S):
            yield

    def read(self) -> Converted | None:
        """What was kept, whole and unchanged; None, with a line in the log where something was there that is not."""
        try:
            text = self._text()
            if text is None:
                return None
            self._check(text)
            found = self._opened()
        except (OSError, ValueError, RuntimeError) as error:  # the last is what OpenVINO raises
            told = in_words(error).strip().splitlines()[0][:200]
            log.warning("converted network cannot be used and is made anew", folder=str(self.folder), error=told)
            return None
        with suppress(OSError):  # a folder that is there to read
            os.utime(self.folder)
        return found

    def make(self, model: keras.Model) -> Converted:
        """Convert the Keras model of the bundle, and keep that in place of what may be there."""
        with quiet_stderr():
            from streamtag.networks.engines.conversion import convert_for  # noqa: PLC0415 - TensorFlow, which takes seconds

            converted = convert_for(model, self._bundle, self._precision)
        self.keep(converted)
        return converted

    def keep(self, converted: Converted) -> None:
        """Write it in one step. A folder that cannot be written costs converting again, and no more."""
        part = self.folder.parent / f".part-{secrets.token_hex(8)}"
        try:
            part.mkdir(parents=True)
            if converted.network is not None:
                # In half precision, as it would be by default, scores would not be those of the first start.
                ov.save_model(converted.network, part / "network.xml", compress_to_fp16=False)
            if converted.in_float is not None:
                np.save(part / "in_float.npy", converted.in_float, allow_pickle=False)
            kept = Kept(of=self._of, files={name: sha256(part / name) for name in self._names})
            (part / "kept.json").write_text(kept.model_dump_json(indent=1), encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)  # it could not be used
            part.rename(self.folder)
        except (OSError, RuntimeError) as error:
            log.warning("converted network cannot be kept", folder=str(self.folder), error=in_words(error)[:200])
        finally:
            shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):  # another process may do so, too
            self._forget()

    def _text(self) -> bytes | None:
        try:
            with (self.folder / "kept.json").open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _check(self, text: bytes) -> None:
        if len(text) > MAX_BYTES:
            raise ValueError("kept.json is too long")
        kept = Kept.model_validate_json(text)
        if kept.of != self._of:
            raise ValueError("it is of another network")
        for name in self._names:
            if kept.files.get(name) != sha256(self.folder / name):
                raise ValueError(f"{name} is not what was written")

    def _opened(self) -> Converted:
        if "network.xml" in self._names:
            return Converted(read_network(self.folder / "network.xml"), None)
        best = np.load(io.BytesIO((self.folder / "in_float.npy").read_bytes()), allow_pickle=False)
        if best.shape != (CHECKED,):
            raise ValueError(f"in_float.npy has the shape {best.shape}")
        return Converted(None, best)

    def _forget(self) -> None:
        """Remove what was not used for longest, and what somebody left unfinished."""
        dated = [(path.stat().st_mtime, path) for path in self.folder.parent.iterdir() if path.is_dir()]
        kept: list[str] = []
        for changed_s, path in sorted(dated, reverse=True):
            name = path.name.rpartition("-")[0]
            if path.name.startswith(".part-"):
                if changed_s < time.time() - _UNFINISHED_S:
                    shutil.rmtree(path, ignore_errors=True)
            elif len(kept) == IN_ALL or kept.count(name) == OF_A_NAME:
                shutil.rmtree(path, ignore_errors=True)
                self._lock_of(path).unlink(missing_ok=True)
            else:
                kept.append(name)

    @staticmethod
    def _lock_of(folder: Path) -> Path:
        return folder.parent / f".{folder.name}.lock"


def _network(bundle: Bundle, weights_digest: str) -> dict[str, Any]:
    """What of a bundle is in the network that is built of it."""
    unknown = bundle.unknown and asdict(bundle.unknown) | {
        "file": sha256(Path(bundle.unknown.file)) if bundle.unknown.file else ""
    }
    return {
        "architecture": bundle.architecture,
        "arguments": bundle.arguments,
        "classes": bundle.classes,
        "size": bundle.preprocessing.size,
        "mode": bundle.preprocessing.mode,
        "outputs": bundle.output_kind,
        "unknown": unknown,
        "weights": weights_digest,
    }


def _sources_sha256() -> str:
    """Of the modules around this one: a change of how networks are made must not be hidden by an older one."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n{path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()
