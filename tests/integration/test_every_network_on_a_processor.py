"""Every architecture says the same in the engines that are for processors as by Keras itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_agreement import assert_agreement, scores


@pytest.mark.long
@pytest.mark.timeout(1300)
def test_every_architecture_says_the_same_as_a_frozen_graph_and_by_openvino(tmp_path: Path) -> None:
    found = scores(tmp_path / "found.npz", "plain,tf_graph,openvino")
    assert_agreement(found, found, "tf_graph", "openvino")
