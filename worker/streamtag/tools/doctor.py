"""Checks of everything a worker needs, each with what to do about its fault."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from streamtag.control_groups import cores
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.engine_choice import EngineChoice
from streamtag.core.job import Sampling
from streamtag.errors import NoTemporaryFolder, StreamtagError, is_want_of_temporary_folder
from streamtag.extras import NEEDS, install_hint
from streamtag.ingest import cage, credentials, wire
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession
from streamtag.logs import quiet_stderr
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.engine_choices import EngineChoices
from streamtag.networks.engines.candidates import default_engine, precision_of
from streamtag.networks.engines.machine import this_machine
from streamtag.networks.loading import import_keras, kept_conversion
from streamtag.networks.registry import find_weights, resolve
from streamtag.networks.specs import SPECS
from streamtag.networks.weights.fetching import cache_folder
from streamtag.queue.address import redis_cli
from streamtag.queue.connection import OLDEST_REDIS, Connection, text
from streamtag.queue.keys import Keys
from streamtag.settings import EngineSettings, ModelSettings, Settings, SourceSettings

DECODE_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``ok``, ``warn`` or ``fail``, what was seen, and the remedy."""

    check: str
    level: str
    seen: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level != "ok" and not self.remedy:
            raise ValueError(f"{self.check}: a fault without a remedy helps nobody")


def examine(settings: Settings) -> Iterator[Finding]:
    """Every check in turn; one that breaks is a finding too."""
    for name, check in CHECKS.items():
        try:
            yield from check(settings)
        except StreamtagError as error:
            yield Finding(name, "fail", str(error), _REMEDIES[name])
        except Exception as error:
            if is_want_of_temporary_folder(error):
                seen, _, remedy = str(NoTemporaryFolder()).partition(": ")
                yield Finding(name, "fail", seen, remedy)
            else:
                yield Finding(name, "fail", f"{type(error).__name__}: {error}", "please report this as a bug")


def _redis(settings: Settings) -> Iterator[Finding]:
    keys = Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
    connection = Connection(settings.redis, keys)
    with connection.asking("INFO"):
        info = connection.client.info()
        at = redis_cli(settings.redis, connection.client)
        version = str(info["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
            yield Finding(
                "redis version",
                "fail",
                version,
                "install Redis 6.2 or newer: older streams lack commands that the queue needs",
            )
        else:
            yield Finding("redis version", "ok", version)
        policy = text(info.get("maxmemory_policy", "noeviction"))
        limit = int(info.get("maxmemory", 0))
        if limit and policy != "noeviction":
            yield Finding(
                "redis memory",
                "fail",
                f"maxmemory-policy {policy}",
                f"run: {at} config set maxmemory-policy noeviction   (eviction loses jobs silently)",
            )
        elif not limit:
            yield Finding(
                "redis memory",
                "warn",
                "no maxmemory",
                f"run: {at} config set maxmemory 2gb   (so that Redis refuses before the host kills it)",
            )
        else:
            yield Finding("redis memory", "ok", f"{policy}, {limit // 1024**2} MiB")
        if int(info.get("aof_enabled", 0)):
            yield Finding("redis persistence", "ok", "append-only file")
        else:
            yield Finding(
                "redis persistence",
                "warn",
                "no append-only file",
                f"run: {at} config set appendonly yes   (or a restart loses what came after the last snapshot)",
            )
        waiting = connection.client.xlen(keys.jobs)
        yield Finding("queue", "ok", f"{keys.jobs}: {waiting} jobs waiting or running")
    connection.close()


def _decoders(settings: Settings) -> Iterator[Finding]:
    build = cv2.getBuildInformation()
    if "FFMPEG:                      YES" not in build:
        yield Finding("opencv", "fail", cv2.__version__, "this OpenCV has no FFmpeg; " + _REMEDIES["decoders"])
        return
    yield Finding("opencv", "ok", f"{cv2.__version__} with FFmpeg")
    with tempfile.TemporaryDirectory() as folder:
        for name, codec, suffix in (("MPEG-4", "mp4v", "mp4"), ("VP9", "VP90", "webm"), ("MJPEG", "MJPG", "avi")):
            path = Path(folder) / f"clip.{suffix}"
            with quiet_stderr():  # FFmpeg remarks on the tag that OpenCV gives VP9
                writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10.0, (64, 64))
                for shade in range(0, 200, 40):
                    writer.write(np.full((64, 64, 3), shade, np.uint8))
                writer.release()
            frames = _decoded(str(path), settings)
            if frames == 5:
                yield Finding(f"decode {name}", "ok", "5 of 5 frames, in a decoder process")
            else:
                yield Finding(f"decode {name}", "fail", f"{frames} of 5 frames", _REMEDIES["decoders"])


def _decoded(path: str, settings: Settings) -> int:
    """Samples that a decoder process makes of a clip."""
    preprocessing = Preprocessing(32)
    request = Request(path, False, Sampling(every=1), 1.0, preprocessing, settings.source, 8, -1, 0, 0)
    samples = 0
    with DecoderSession(request) as session:
        for message in session.messages(DECODE_LIMIT_S):
            if isinstance(message, wire.SampleMessage):
                samples += 1
                session.release(message.sample.slot)
    return samples


def _host(settings: Settings) -> Iterator[Finding]:
    there, ours = len(os.sched_getaffinity(0)), cores()
    yield Finding(
        "processors", "ok", f"{ours} cores" if ours == there else f"{ours} of {there} cores, the container's share"
    )
    yield _cage(settings.source)
    if settings.source.credentials is not None:
        yield from _credentials(settings.source.credentials)


def _credentials(folder: Path) -> Iterator[Finding]:
    try:
        found = credentials.names(folder)
    except OSError as error:
        remedy = "mount it, and let the worker's user read it; or correct source.credentials"
        yield Finding("credentials", "fail", f"{folder}: {error.strerror}", remedy)
        return
    faults = []
    for name in found:
        try:
            credentials.read(name, folder)
        except credentials.Unusable as error:
            faults.append(Finding("credentials", "fail", f"{name}: {error}", "correct it; it is read at each connect"))
    yield from faults
    yield Finding("credentials", "ok", f"{len(found) - len(faults)} of {len(found)} in {folder} can be used")


def _cage(settings: SourceSettings) -> Finding:
    lacking = cage.missing()
    offered = cage.offered()
    if settings.cage == "off":
        return Finding(
            "decoder cage", "warn", f"off; {offered}", "set source.cage to auto: sources are strangers' files"
        )
    if not lacking:
        return Finding("decoder cage", "ok", f"complete: {offered}")
    level = "fail" if settings.cage == "strict" else "warn"
    return Finding("decoder cage", level, f"incomplete: {offered}", f"this machine lacks {'; '.join(lacking)}")


def _model(settings: Settings) -> Iterator[Finding]:
    bundle = resolve(settings.model)
    yield Finding("model", "ok", f"{bundle.name}: {bundle.classes} classes, {bundle.preprocessing.size} pixels")
    yield _weights(bundle, settings.model)


def _weights(bundle: Bundle, settings: ModelSettings) -> Finding:
    if bundle.weights == "random":
        return Finding("weights", "warn", "random", "labels will mean nothing; give --weights imagenet, or a file")
    if bundle.weights != "imagenet":
        return Finding("weights", "ok", bundle.weights)
    spec = SPECS[bundle.name]
    cached = find_weights(bundle.name, settings)
    if cached:
        return Finding("weights", "ok", f"imagenet, cached: {cached}")
    if spec.download is None:
        remedy = f"get {spec.by_hand}; then: streamtag models import {bundle.name} FILE"
        return Finding("weights", "fail", "imagenet, not imported yet", remedy)
    return Finding(
        "weights",
        "warn",
        f"imagenet, not in {cache_folder(settings)} yet",
        f"run: streamtag models fetch {bundle.name}   (the first start would download them too); offline, give a file",
    )


def _engine(settings: Settings) -> Iterator[Finding]:
    engine = settings.engine
    bundle = _with_weights(settings.model) if engine.name in ("auto", "openvino") else None
    digest = weights_sha256(bundle) if bundle else ""
    if engine.name != "auto":
        yield Finding("engine", "ok", f"{engine.name} {precision_of(engine)}, named in the settings")
    else:
        kept = EngineChoices(settings.model, engine, bundle, digest).read() if bundle else None
        yield _chosen(engine, kept)
        if kept is not None:
            engine = engine.model_copy(update={"name": kept.engine, "precision": kept.precision})
    machine = this_machine()
    # What is measured at the first start is converted for it, too, and kept.
    measures = engine.measure_s and machine.has("openvino")
    open_to_it = engine.name == "auto" and (measures or default_engine(machine, engine) == "openvino")
    if bundle and (engine.name == "openvino" or open_to_it):
        yield _conversion(settings.model, bundle, "int8" if engine.precision == "int8" else "float32", digest)


def _with_weights(settings: ModelSettings) -> Bundle | None:
    """What the settings name, if its weights are on this machine."""
    bundle = resolve(settings)
    if bundle.weights != "imagenet":
        return bundle
    weights = find_weights(bundle.name, settings)
    return replace(bundle, weights=str(weights)) if weights else None


def _chosen(engine: EngineSettings, kept: EngineChoice | None) -> Finding:
    if kept is not None:
        return Finding("engine", "ok", f"{kept.engine} {kept.precision}, measured here: {kept.why}")
    if engine.measure_s:
        seen = f"not measured yet: the first `streamtag run` will, within {engine.measure_s:g} s"
        return Finding("engine", "ok", seen)
    remedy = "run: streamtag bench engines --keep   (or let the worker measure: engine.measure_s)"
    return Finding("engine", "warn", "not measured, and never to be (engine.measure_s is 0)", remedy)


def _conversion(settings: ModelSettings, bundle: Bundle, precision: str, digest: str) -> Finding:
    """What a start with OpenVINO would find: with it, it imports neither TensorFlow nor Keras."""
    kept = kept_conversion(settings, bundle, precision, digest)
    if kept.read() is not None:
        megabytes = sum(file.stat().st_size for file in kept.folder.iterdir()) / 1e6
        return Finding("converted network", "ok", f"{kept.folder}, {megabytes:.1f} MB")
    if kept.folder.is_dir():
        seen = f"{kept.folder} is not what was written"
        return Finding("converted network", "warn", seen, "nothing to do: the next start with OpenVINO makes it anew")
    ahead = ""
    if bundle.name in SPECS and Path(bundle.weights) == find_weights(bundle.name, settings):
        ahead = f"run: streamtag models fetch {bundle.name} --convert   (then the first start is no longer than others)"
    return Finding("converted network", "ok", f"none in {kept.folder.parent} yet: the first start makes one", ahead)


def _device(settings: Settings) -> Iterator[Finding]:
    import_keras(settings.engine)
    with quiet_stderr():
        import keras  # noqa: PLC0415 - Keras, whose backend is chosen first
        import tensorflow as tf  # noqa: PLC0415 - Keras, whose backend is chosen first

        gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    yield Finding("tensorflow", "ok", f"{tf.__version__}, Keras {keras.__version__}")
    if gpus:
        yield Finding("device", "ok", ", ".join(str(gpu.get("device_name", "GPU")) for gpu in gpus))
    elif Path("/dev/nvidiactl").exists():
        remedy = install_hint(NEEDS["an NVIDIA GPU"])
        yield Finding("device", "warn", "an NVIDIA device that TensorFlow cannot use", remedy)
    else:
        yield Finding("device", "ok", "CPU (oneDNN)")


# Of a check that could not even be made: what its error does not say.
_REMEDIES = {
    "redis": "start one (redis-server), or name yours: --set redis.url=redis://HOST:PORT/0",
    "host": "run as a user who may read /dev/shm and /proc",
    "decoders": f"run: {shlex.quote(sys.executable)} -m pip install --force-reinstall opencv-python-headless",
    "model": "run: streamtag models list   (names the networks, and which weights are here)",
    "engine": "run: streamtag models list   (names the networks, and which weights are here)",
    "device": f"run: {shlex.quote(sys.executable)} -m pip install --force-reinstall tensorflow keras",
}

CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "redis": _redis,
    "host": _host,
    "decoders": _decoders,
    "model": _model,
    "engine": _engine,
    "device": _device,
}
