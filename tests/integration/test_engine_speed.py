"""A guard against slips by a factor: ratios of one run, in turns, with generous bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.settings import Settings
from streamtag.tools.bench.engines import compare


@pytest.mark.long
def test_no_engine_falls_behind_keras_and_one_is_well_ahead(tmp_path: Path) -> None:
    """Of the demo network, whose own work is so small that what an engine adds to it shows."""
    settings = Settings.model_validate({"model": {"name": "demo", "cache": str(tmp_path)}})
    found = compare(settings, 8, 3.0, lambda text: None)
    ratios = {(row.engine, row.precision): row.ratio for row in found.rows if not row.error and not row.peer}
    # Measured were 6.1 (tf_graph) and 3.2 (openvino), on a Zen 3 with a load of 13.
    assert min(ratios.values()) > 1.4, ratios
    assert max(ratios.values()) > 2.5, ratios
    assert {row.agreement for row in found.rows if row.precision == "float32" and not row.error} == {1.0}
