"""Settings of a test's own, so that tests can share a server."""

from __future__ import annotations

import uuid

from streamtag.configuration import load
from streamtag.queue.keys import Keys
from streamtag.settings import Settings

from tests.support.redis_server import RedisServer


def settings_for(server: RedisServer, **more: object) -> Settings:
    """Settings with a queue of the test's own; ``lease__seconds`` names the setting ``lease.seconds``.

    The network is the small one that is shipped: tests of everything else need no better one. The engine is named, so
    that none is measured, and none is taken that was chosen on this machine before.
    """
    values = {
        "redis.url": server.url,
        "redis.prefix": f"t{uuid.uuid4().hex[:12]}",
        "http.port": 0,
        "model.name": "demo",
        "engine.name": "tf_graph",
    }
    return load(None, values | {name.replace("__", "."): value for name, value in more.items()})[0]


def keys_of(settings: Settings) -> Keys:
    """The keys of the queue that the settings name."""
    return Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
