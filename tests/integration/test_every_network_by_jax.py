"""Every architecture says the same by JAX as by Keras on TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_agreement import assert_agreement, scores


@pytest.mark.long
@pytest.mark.timeout(2500)
def test_every_architecture_says_the_same_by_jax(tmp_path: Path) -> None:
    """Operation by operation, as TensorFlow runs a model that is called, JAX would compile each of them anew."""
    plain = scores(tmp_path / "plain.npz", "plain")
    assert_agreement(plain, scores(tmp_path / "found.npz", "jax", tmp_path / "plain.npz"), "jax")
