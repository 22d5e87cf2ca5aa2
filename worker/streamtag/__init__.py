"""Streamtag: a streaming video recognition worker. Start reading at ``pipeline/pipeline.py``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]

if TYPE_CHECKING:
    from streamtag.client import Client


def __getattr__(name: str) -> Any:
    # On demand: every decoder process imports this package, and none of them may load Redis's client.
    if name == "Client":
        return importlib.import_module("streamtag.client").Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
