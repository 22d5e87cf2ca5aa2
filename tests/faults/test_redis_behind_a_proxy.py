"""The way to Redis breaks: replies are lost, everything is slow, nothing passes. One worker lives through it all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import RedisServer, settings_for
from tests.support.redis_proxy import ACQUIRE, COMMIT, READ, RedisProxy, seeded
from tests.support.trial import Trial, trial

LONG = pytest.mark.long

pytestmark = pytest.mark.timeout(600)  # with the start of the worker


@pytest.fixture(scope="module")
def proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    with RedisProxy(redis_server.port) as found:
        yield found


@pytest.fixture(scope="module")
def behind(
    proxy: RedisProxy, redis_server: RedisServer, clip: Path, record_testsuite_property: Callable[[str, object], None]
) -> Iterator[Trial]:
    """The worker reaches its server through the proxy, the client directly."""
    direct = settings_for(redis_server)
    url = f"redis://127.0.0.1:{proxy.port}/0"
    through = settings_for(redis_server, redis__url=url, redis__prefix=direct.redis.prefix, redis__timeout_s=4)
    with trial(redis_server, direct, clip, workers=through) as found:
        yield found
        record_testsuite_property("replies lost", len(proxy.lost))
        record_testsuite_property("results compared behind a proxy", found.compared)


@pytest.mark.parametrize("wanted", [pytest.param(120, marks=LONG)])
def test_lost_replies_cost_nothing(proxy: RedisProxy, behind: Trial, wanted: int) -> None:
    """Of reads, acquires and commits, over as many jobs as it takes."""
    before = len(proxy.lost)
    with proxy.losing(seeded(0.3, 8, ACQUIRE, COMMIT, READ)):
        while len(proxy.lost) < before + wanted:
            behind.submit(3)
            behind.all_exact()
    for mark in (ACQUIRE, COMMIT, READ):
        assert any(mark in request for request in proxy.lost[before:])


@pytest.mark.long
def test_a_second_for_each_question_costs_nothing(proxy: RedisProxy, behind: Trial) -> None:
    with proxy.slow(0.5):
        behind.submit(2)
        behind.all_exact()


@pytest.mark.parametrize("away_s", [5.0, pytest.param(20.0, marks=LONG)])
def test_a_server_that_refuses_connections(proxy: RedisProxy, behind: Trial, away_s: float) -> None:
    """For longer than the worker's patience: the leases are given up and taken anew, and nobody is blamed."""
    behind.submit_and_see_it_run(3)
    with proxy.refusing():
        time.sleep(away_s)
    behind.all_exact()


@pytest.mark.parametrize("away_s", [1.0, *(pytest.param(away_s, marks=LONG) for away_s in (5.0, 20.0))])
def test_a_network_that_swallows_everything(proxy: RedisProxy, behind: Trial, away_s: float) -> None:
    """Within the worker's patience for a reply and beyond it: then what it gave up waiting for is carried out late."""
    behind.submit_and_see_it_run(3)
    with proxy.silent():
        time.sleep(away_s)
    behind.all_exact()
