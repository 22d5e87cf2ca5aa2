"""Whether there is a GPU. Imports a framework but not Keras, whose backend may not be chosen yet."""

from __future__ import annotations


def has_gpu(engine: str) -> bool:
    """Whether the framework of an engine, JAX or TensorFlow, sees one that it can use."""
    if engine == "jax":
        import jax  # noqa: PLC0415 - an extra

        return bool(jax.default_backend() != "cpu")
    import tensorflow as tf  # noqa: PLC0415 - takes seconds

    return bool(tf.config.list_physical_devices("GPU"))
