"""``streamtag`` as a process, as people and scripts run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from streamtag.redis_settings import RedisSettings
from streamtag.settings import Settings


def environment(settings: Settings) -> dict[str, str]:
    """The settings of a test as a process gets them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMTAG_")}
    return own | {
        **_redis(settings.redis),
        "STREAMTAG_MODEL__NAME": settings.model.name,
        "STREAMTAG_ENGINE__NAME": settings.engine.name,
        "STREAMTAG_HTTP__PORT": "0",
        "STREAMTAG_LOG__FORMAT": "json",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "COLUMNS": "200",
    }


def _redis(settings: RedisSettings) -> dict[str, str]:
    """How to reach it and which keys are the test's own: all that differs from the defaults."""
    changed = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.model_dump(exclude_defaults=True).items()
    }
    return {
        f"STREAMTAG_REDIS__{name.upper()}": json.dumps(value) if isinstance(value, list) else str(value)
        for name, value in changed.items()
    }


def run_cli(
    settings: Settings,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    limit_s: float = 300,
    stdin: str = "",
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``streamtag`` as a process and wait for it; ``env`` adds to its environment, ``stdin`` is what it reads."""
    return subprocess.run(
        [sys.executable, "-m", "streamtag", *arguments],
        env=environment(settings) | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=limit_s,
        input=stdin,
        cwd=cwd,
        check=False,
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
