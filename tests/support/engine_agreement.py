"""Every architecture in some engines, beside Keras's own call. Three files of tests share the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from streamtag.networks.specs import SPECS

ROOT = Path(__file__).parents[2]


def scores(out: Path, engines: str, *plain: Path) -> dict[str, np.ndarray]:
    """Those of ``tests.reference.engine_scores``, as a process: by ``<engine>/<network>``."""
    command = [sys.executable, "-m", "tests.reference.engine_scores", str(out), engines, *map(str, plain)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return dict(np.load(out))


def assert_agreement(plain: dict[str, np.ndarray], found: dict[str, np.ndarray], *engines: str) -> None:
    """Each engine says of each architecture what Keras's own call without folding says."""
    for network in SPECS:
        expected = plain[f"plain/{network}"]
        np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-4)
        assert 1e-3 < expected.max() < 0.999, f"{network} is flat or saturated: the comparison would prove nothing"
        for engine in engines:
            answer = found[f"{engine}/{network}"]
            np.testing.assert_allclose(answer, expected, atol=2e-5, err_msg=f"{network} in {engine}")
