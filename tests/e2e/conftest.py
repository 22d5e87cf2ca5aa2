"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, settings_for


@pytest.fixture(scope="module")
def served(redis_server: RedisServer) -> Iterator[tuple[Settings, Worker]]:
    """One worker without a network for all tests of a file, and its settings."""
    settings = settings_for(redis_server)
    worker = Worker(settings, *NULL).ready()
    yield settings, worker
    worker.kill()


@pytest.fixture(scope="module")
def served_settings(served: tuple[Settings, Worker]) -> Settings:
    """The settings of a queue that has a worker."""
    return served[0]


@pytest.fixture
def runners() -> Iterator[list[Worker]]:
    """Runners of ``notify`` that a test starts."""
    started: list[Worker] = []
    yield started
    for runner in started:
        runner.kill()
