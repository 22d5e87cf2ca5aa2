"""Each contract is tested on the newest server here and on the oldest that is supported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.sides import Queue
from tests.support import RedisServer


@pytest.fixture(params=["new", "old"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    found: RedisServer = request.getfixturevalue("redis_server" if request.param == "new" else "old_redis_server")
    return found


@pytest.fixture
def queue(server: RedisServer) -> Iterator[Queue]:
    found = Queue(server.url)
    yield found
    found.connection.close()
