"""No telemetry. OpenVINO and NNCF report each conversion to Google Analytics unless somebody forbade it.

A worker reports to nobody.
"""

from __future__ import annotations

import sys


def forbid_telemetry() -> None:
    """Make their telemetry look uninstalled, which they take as a no. Before either is imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
