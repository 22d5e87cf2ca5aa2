"""From settings to a network that is ready to classify. Imports a framework only where one is wanted, and only that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streamtag.core.bundle import Bundle
from streamtag.extras import require
from streamtag.logs import quiet_stderr
from streamtag.networks.engines.base import Engine, WarmUp, warm_up
from streamtag.networks.engines.null import NullEngine
from streamtag.networks.registry import ensure_weights, resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings

if TYPE_CHECKING:
    import keras


class LoadStage(StrEnum):
    """What takes its time before the first picture."""

    DOWNLOADING = "downloading"
    IMPORTING = "importing"
    BUILDING = "building"
    COMPILING = "compiling"


@dataclass(frozen=True, slots=True)
class LoadStep:
    """How far the loading of a network is."""

    stage: LoadStage
    what: str  # the network, or the framework that is imported
    done: int = 0  # bytes of a download, buckets compiled
    total: int = 0  # of them; 0: not known, or nothing to count
    device: str = ""  # where it is compiled for, in words

    def __str__(self) -> str:
        text = f"{self.stage} {self.what}"
        if self.stage is LoadStage.DOWNLOADING and self.total:
            return f"{text}: {self.done / 1e6:.0f} of {self.total / 1e6:.0f} MB"
        if self.stage is LoadStage.COMPILING:
            return f"{text} for {self.device}: {min(self.done + 1, self.total)} of {self.total}"
        return text


OnStep = Callable[[LoadStep], None]


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network compiled and tried: the first picture waits for nothing."""

    bundle: Bundle
    engine: Engine
    warm_up: WarmUp


def _ignore(step: LoadStep) -> None:
    pass


def load(settings: Settings, on_step: OnStep = _ignore, bundle: Bundle | None = None) -> LoadedNetwork:
    """The network that the settings name, with its weights, in the engine that will run it.

    Args:
        on_step: told before each thing that takes its time.
        bundle: what the settings name, where that is known already: a bundle's weights are hashed when it is read.

    Raises:
        StreamtagError: the model, its weights or the engine cannot be had; the message says what to do.
    """
    bundle = bundle_with_weights(settings.model, on_step, bundle)
    model = None if settings.engine.name == "null" else build_model(bundle, settings.engine, on_step)
    return compile_model(model, bundle, settings.engine, on_step)


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
        engine = _engine(model, bundle, settings)
        total = len(engine.buckets)

        def compiling(done: int) -> None:
            on_step(LoadStep(LoadStage.COMPILING, bundle.name, done, total, engine.device))

        return LoadedNetwork(bundle, engine, warm_up(engine, bundle, outputs, compiling))


def import_keras(settings: EngineSettings, on_step: OnStep = _ignore) -> None:
    """Choose Keras's backend and import it, in this order: it cannot be changed afterwards.

    Raises:
        ConfigError: the framework of the engine is not installed.
    """
    if settings.name in ("jax", "openvino"):
        require(f"engine {settings.name}")
    os.environ["KERAS_BACKEND"] = "jax" if settings.name == "jax" else "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    on_step(LoadStep(LoadStage.IMPORTING, "JAX" if settings.name == "jax" else "TensorFlow"))
    with quiet_stderr():
        import keras  # noqa: F401, PLC0415 - see above

        if settings.threads and settings.name in ("auto", "tf_graph", "tf_xla"):
            from streamtag.networks.engines.tensorflow_engines import limit_threads  # noqa: PLC0415 - see above

            limit_threads(settings.threads)


def _engine(model: Any, bundle: Bundle, settings: EngineSettings) -> Engine:
    # Each framework is imported only where its engine is wanted: it may be absent, and it takes seconds.
    match settings.name:
        case "null":
            return NullEngine(bundle, settings)
        case "jax":
            from streamtag.networks.engines.jax_engine import JaxEngine  # noqa: PLC0415 - needs an extra

            return JaxEngine(model, bundle, settings)
        case "openvino":
            require("engine openvino")
            from streamtag.networks.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - needs an extra

            return OpenVinoEngine(model, bundle, settings)
    from streamtag.networks.engines import tensorflow_engines  # noqa: PLC0415 - not for an engine without TensorFlow

    if settings.name == "tf_xla" or (settings.name == "auto" and tensorflow_engines.has_gpu()):
        return tensorflow_engines.tf_xla(model, bundle, settings)
    return tensorflow_engines.tf_graph(model, bundle, settings)
