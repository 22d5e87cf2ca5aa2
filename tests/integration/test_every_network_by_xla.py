"""Every architecture says the same compiled by XLA as by Keras itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_agreement import assert_agreement, scores


@pytest.mark.long
@pytest.mark.timeout(1300)
def test_every_architecture_says_the_same_compiled_by_xla(tmp_path: Path) -> None:
    found = scores(tmp_path / "found.npz", "plain,tf_xla")
    assert_agreement(found, found, "tf_xla")
