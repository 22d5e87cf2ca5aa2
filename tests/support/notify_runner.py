"""Runners of ``streamtag notify``, and events for them."""

from __future__ import annotations

import json
from typing import Any

from streamtag.settings import Settings

from tests.support.waiting import eventually
from tests.support.worker_process import Worker

QUICK = ("notify.lease_s=2", "notify.backoff_s=0.05", "notify.backoff_cap_s=0.2", "notify.timeout_s=2")


def start(runners: list[Worker], settings: Settings, *sinks: dict[str, Any], more: tuple[str, ...] = ()) -> Worker:
    """A runner; the sinks are in its environment, where no other user of a machine sees their secrets."""
    env = {"STREAMTAG_NOTIFY__SINKS": json.dumps(sinks)}
    runners.append(Worker(settings, *QUICK, *more, env=env, command="notify"))
    return runners[-1]


def ready(runner: Worker, sinks: int = 1) -> None:
    """Each sink has a place: what happens from now on it hears."""
    news = "a new sink hears what happens from now on"
    eventually(lambda: sum(line["event"] == news for line in list(runner.log)) == sinks, "its sinks have begun")


def events(count: int, first: int = 0) -> list[dict[str, Any]]:
    label = {"class_id": 1, "name": "dog"}
    return [{"kind": "enter", "pts_s": float(first + number), "label": label} for number in range(count)]
