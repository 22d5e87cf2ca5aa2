"""Writes dashboards/*.json: ``python scripts/dashboards``; with a folder named, into that."""

from __future__ import annotations

import sys
from pathlib import Path

from build import to_json
from fleet import FLEET
from panels import STREAMS, WORKER_BOARD

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "dashboards"
for board in (FLEET, WORKER_BOARD, STREAMS):
    name = board.uid.removeprefix("streamtag-")
    (folder / f"{name}.json").write_text(to_json(board), encoding="utf-8")
