"""From settings to a network that is ready to classify. Imports a framework only where one is wanted, and only that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import EngineChoice
from streamtag.errors import DeviceMissing, StreamtagError, in_words
from streamtag.extras import require
from streamtag.logs import log, quiet_stderr
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.choosing import choice_of
from streamtag.networks.engines.base import Engine, WarmUp, warm_up
from streamtag.networks.engines.candidates import is_openvino, settled
from streamtag.networks.engines.gpu import has_gpu
from streamtag.networks.engines.machine import threads
from streamtag.networks.engines.null import NullEngine
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.registry import ensure_weights, resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings

if TYPE_CHECKING:
    import keras

    from streamtag.networks.conversions import KeptConversion
    from streamtag.networks.engines.openvino_engine import Converted


class LoadStage(StrEnum):
    """What takes its time before the first picture."""

    DOWNLOADING = "downloading"
    IMPORTING = "importing"
    BUILDING = "building"
    TAKING = "taking the kept conversion of"
    MEASURING = "measuring engines"
    COMPILING = "compiling"


@dataclass(frozen=True, slots=True)
class LoadStep:
    """How far the loading of a network is."""

    stage: LoadStage
    what: str  # the network, or the framework that is imported, or the engine that is measured
    done: int = 0  # bytes of a download, engines measured, buckets compiled
    total: int = 0  # of them; 0: not known, or nothing to count
    device: str = ""  # where it is compiled for, in words

    def __str__(self) -> str:
        text = f"{self.stage} {self.what}"
        if self.stage is LoadStage.DOWNLOADING and self.total:
            return f"{text}: {self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"
        if self.stage is LoadStage.COMPILING:
            return f"{text} for {self.device}: {min(self.done + 1, self.total)} of {self.total}"
        if self.stage is LoadStage.MEASURING and self.total:
            return f"{text}: {min(self.done + 1, self.total)} of {self.total}"
        return text


OnStep = Callable[[LoadStep], None]


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network compiled and tried: the first picture waits for nothing."""

    bundle: Bundle
    engine: Engine
    warm_up: WarmUp
    choice: EngineChoice


def _ignore(step: LoadStep) -> None:
    pass


def load(
    settings: Settings, on_step: OnStep = _ignore, bundle: Bundle | None = None, measure: bool = False
) -> LoadedNetwork:
    """The network that the settings name, with its weights, in the engine that will run it.

    Args:
        on_step: told before each thing that takes its time.
        bundle: what the settings name, where that is known already: a bundle's weights are hashed when it is read.
        measure: where the engine is ours to choose and nobody did so here before, take the time to measure them.

    Raises:
        DeviceMissing: a GPU is asked for, and there is none.
        StreamtagError: the model, its weights or the engine cannot be had; the message says what to do.
    """
    if settings.engine.require_gpu:
        check_gpu(settings.engine, on_step)
    bundle = bundle_with_weights(settings.model, on_step, bundle)
    digest = cache(lambda: weights_sha256(bundle))  # of hundreds of megabytes: once, and only where somebody asks
    choice = choice_of(
        settings,
        bundle,
        digest,
        measure,
        lambda what, done, total: on_step(LoadStep(LoadStage.MEASURING, what or bundle.name, done, total)),
    )
    try:
        network = _compiled(settings, choice, bundle, digest, on_step)
    except RuntimeError as error:  # OpenVINO's: it cannot convert every layer, and nobody asked for it
        if choice.origin != "default" or choice.engine == "auto":
            raise
        log.info("OpenVINO cannot take this network, TensorFlow computes", error=in_words(error)[:200])
        network = _compiled(settings, replace(choice, engine="auto"), bundle, digest, on_step)
    taken = replace(choice, engine=network.engine.name, precision=network.engine.precision)
    return replace(network, choice=taken)


def _compiled(
    settings: Settings, choice: EngineChoice, bundle: Bundle, digest: Callable[[], str], on_step: OnStep
) -> LoadedNetwork:
    engine = settings.engine.model_copy(update={"name": choice.engine, "precision": choice.precision})
    if is_openvino(engine):
        engine = settled(engine, gpu=False)
        kept = kept_conversion(settings.model, bundle, engine.precision, digest())
        return compile_converted(_converted(kept, bundle, on_step), bundle, engine, on_step)
    model = None if engine.name == "null" else build_model(bundle, engine, on_step)
    return compile_model(model, bundle, engine, on_step)


def bundle_with_weights(settings: ModelSettings, on_step: OnStep = _ignore, bundle: Bundle | None = None) -> Bundle:
    """What the settings name, with its weights as a file of this machine, downloaded if they were not there.

    Raises:
        StreamtagError: the model or its weights cannot be had; the message says what to do.
    """
    return ensure_weights(
        bundle or resolve(settings),
        settings,
        lambda done, total: on_step(LoadStep(LoadStage.DOWNLOADING, settings.name, done, total)),
    )


def _converted(kept: KeptConversion, bundle: Bundle, on_step: OnStep) -> Converted:
    """What was converted here before: to import TensorFlow and Keras takes longer than all the rest of a start."""
    with kept.locked():
        converted = kept.read()
        if converted is None:
            return kept.make(build_model(bundle, EngineSettings(name="openvino"), on_step))
    on_step(LoadStep(LoadStage.TAKING, bundle.name))
    return converted


def convert_ahead(models: ModelSettings, on_step: OnStep = _ignore) -> Path:
    """Have the network that the settings name converted for OpenVINO, as its first start would; returns the folder.

    Raises:
        StreamtagError: the model, its weights or OpenVINO cannot be had, or the folder cannot be written.
    """
    bundle = bundle_with_weights(models, on_step)
    kept = kept_conversion(models, bundle, "float32", weights_sha256(bundle))
    _converted(kept, bundle, on_step)
    if not kept.folder.is_dir():
        raise StreamtagError(
            f"{kept.folder} cannot be written; make room or make it writable, or name another folder with "
            "--set model.cache=FOLDER"
        )
    return kept.folder


def kept_conversion(models: ModelSettings, bundle: Bundle, precision: str, weights_digest: str) -> KeptConversion:
    """Where a network is kept that was converted for OpenVINO to compute in a precision.

    Raises:
        ConfigError: OpenVINO is not installed, or the processor or the bundle does not have the precision.
    """
    _check_openvino(bundle, precision)
    from streamtag.networks.conversions import KeptConversion  # noqa: PLC0415 - OpenVINO may be absent

    return KeptConversion(models, bundle, precision, weights_digest)


def _check_openvino(bundle: Bundle, precision: str) -> None:
    require("engine openvino")
    forbid_telemetry()
    with quiet_stderr():
        from streamtag.networks.engines.openvino_engine import check_precision  # noqa: PLC0415 - may be absent

        check_precision(bundle, precision)


def build_model(bundle: Bundle, settings: EngineSettings, on_step: OnStep = _ignore) -> keras.Model:
    """The Keras model of a bundle whose weights are on this machine.

    Raises:
        ConfigError: the weights do not fit, or would run code.
    """
    import_keras(settings, on_step)
    on_step(LoadStep(LoadStage.BUILDING, bundle.name))
    with quiet_stderr():
        from streamtag.networks.building import build  # noqa: PLC0415 - Keras, whose backend is chosen first

        return build(bundle)


def compile_model(
    model: keras.Model | None,
    bundle: Bundle,
    settings: EngineSettings,
    on_step: OnStep = _ignore,
    outputs: int | None = None,
) -> LoadedNetwork:
    """A Keras model in the engine of the settings, each bucket compiled and timed.

    Args:
        model: looked at by every engine but the null engine.
        outputs: of the model, where these are not the bundle's classes.

    Raises:
        ConfigError: the framework of the engine is not installed or refuses, or the network gives no numbers.
    """
    with quiet_stderr():
        return _warmed(_engine(model, bundle, settings), bundle, on_step, outputs)


def _warmed(engine: Engine, bundle: Bundle, on_step: OnStep, outputs: int | None = None) -> LoadedNetwork:
    total = len(engine.buckets)

    def compiling(done: int) -> None:
        on_step(LoadStep(LoadStage.COMPILING, bundle.name, done, total, engine.device))

    choice = EngineChoice(engine.name, engine.precision, "named", "")
    return LoadedNetwork(bundle, engine, warm_up(engine, bundle, outputs, compiling), choice)


def compile_converted(
    converted: Converted, bundle: Bundle, settings: EngineSettings, on_step: OnStep = _ignore
) -> LoadedNetwork:
    """A converted network in OpenVINO's engine, each bucket compiled and timed.

    Raises:
        ConfigError: the processor garbles its 8-bit form, or the network gives no probabilities.
    """
    with quiet_stderr():
        from streamtag.networks.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - may be absent

        return _warmed(OpenVinoEngine(converted, bundle, settings), bundle, on_step)


def import_keras(settings: EngineSettings, on_step: OnStep = _ignore) -> None:
    """Choose Keras's backend and import it, in this order: it cannot be changed afterwards.

    Raises:
        ConfigError: the framework of the engine is not installed.
    """
    if settings.name in ("jax", "openvino"):
        require(f"engine {settings.name}")
    os.environ["KERAS_BACKEND"] = "jax" if settings.name == "jax" else "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Memory of a graphics card as it is needed: each of them takes nearly all of it at once, and both may be here.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    on_step(LoadStep(LoadStage.IMPORTING, "JAX" if settings.name == "jax" else "TensorFlow"))
    with quiet_stderr():
        import keras  # noqa: F401, PLC0415 - see above

        if settings.name != "jax" and (limit := threads(settings.threads)):
            from streamtag.networks.engines.tensorflow_engines import limit_threads  # noqa: PLC0415 - see above

            limit_threads(limit)


def check_gpu(settings: EngineSettings, on_step: OnStep = _ignore) -> None:
    """See whether the engine has a GPU to run on, before anything is downloaded or built.

    Raises:
        DeviceMissing: it has not, or never has.
        ConfigError: the framework of the engine is not installed.
    """
    if settings.name in ("null", "openvino"):
        raise DeviceMissing(f"engine.require_gpu: engine {settings.name} runs on no GPU; choose auto, tf_xla or jax")
    if settings.name == "auto":  # JAX may be chosen yet, and Keras takes its backend when it is imported
        on_step(LoadStep(LoadStage.IMPORTING, "TensorFlow"))
    else:
        import_keras(settings, on_step)
    with quiet_stderr():
        found = has_gpu(settings.name)
    if not found:
        framework = "JAX" if settings.name == "jax" else "TensorFlow"
        raise DeviceMissing(
            f"engine.require_gpu: {framework} sees no GPU here; give this machine or container one, install "
            "streamtag[cuda] for it (`streamtag doctor` tells what is there), or leave engine.require_gpu out"
        )


def _engine(model: Any, bundle: Bundle, settings: EngineSettings) -> Engine:
    # Each framework is imported only where its engine is wanted: it may be absent, and it takes seconds.
    if settings.name == "null":
        return NullEngine(bundle, settings)
    if settings.name == "jax":
        from streamtag.networks.engines.jax_engine import JaxEngine  # noqa: PLC0415 - needs an extra

        return JaxEngine(model, bundle, settled(settings, gpu=False))
    if is_openvino(settings):
        settings = settled(settings, gpu=False)
        _check_openvino(bundle, settings.precision)
        from streamtag.networks.engines.conversion import convert_for  # noqa: PLC0415 - may be absent
        from streamtag.networks.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - as above

        return OpenVinoEngine(convert_for(model, bundle, settings.precision), bundle, settings)
    from streamtag.networks.engines import tensorflow_engines  # noqa: PLC0415 - not for an engine without TensorFlow

    settings = settled(settings, has_gpu(settings.name))
    compiled = tensorflow_engines.tf_xla if settings.name == "tf_xla" else tensorflow_engines.tf_graph
    return compiled(model, bundle, settings)
