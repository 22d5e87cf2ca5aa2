"""Which engine a setting means here. Imports only the framework that is wanted."""

from __future__ import annotations

import os
from typing import Any

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.networks.engines.base import Engine
from streamtag.networks.engines.null import NullEngine
from streamtag.settings import EngineSettings


def prepare(settings: EngineSettings) -> None:
    """Choose Keras's backend. Must come before Keras is imported anywhere in the process."""
    os.environ["KERAS_BACKEND"] = "jax" if settings.name == "jax" else "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def make_engine(model: Any, bundle: Bundle, settings: EngineSettings) -> Engine:
    """
    Args:
        model: a Keras model; not looked at by the null engine.

    Raises:
        ConfigError: the framework it needs is not installed, or refuses.
    """
    name = settings.name
    if name == "null":
        return NullEngine(bundle, settings)
    try:
        if name == "jax":
            from streamtag.networks.engines.jax_engine import JaxEngine

            return JaxEngine(model, bundle, settings)
        if name == "openvino":
            from streamtag.networks.engines.openvino_engine import OpenVinoEngine

            return OpenVinoEngine(model, bundle, settings)
    except ImportError as error:
        raise ConfigError(f"engine {name} is not installed ({error}); run: pip install 'streamtag[{name}]'") from None
    from streamtag.networks.engines import tensorflow_engines

    if name == "tf_xla" or (name == "auto" and tensorflow_engines.has_gpu()):
        return tensorflow_engines.tf_xla(model, bundle, settings)
    return tensorflow_engines.tf_graph(model, bundle, settings)
