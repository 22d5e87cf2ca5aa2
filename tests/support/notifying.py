"""All that ``streamtag notify`` asks of Redis, and what people ask about it."""

from __future__ import annotations

import orjson
from streamtag.queue.notices import Feeds, Notices

from tests.contract.sides import Queue
from tests.support.redis_server import RedisServer


def tell_an_event(queue: Queue, server: RedisServer) -> None:
    """One event, which is not taken, from the lease to the dead letter."""
    notices, feeds = Notices(queue.connection, "one"), Feeds(queue.connection)
    assert notices.hold(60) == ""
    place = notices.read("sink").place
    notices.advance("sink", place)
    with server.client() as admin:
        admin.xadd(queue.keys.events, {"event": orjson.dumps({"job_id": "j", "kind": "state", "pts_s": 0.0})})
    notices.wait(place)
    (event,) = notices.read("sink").events
    notices.bury("sink", place.after(event.id), event, "answered 422", 1, 10)
    assert feeds.sinks(["sink"])[0].dead == 1
    assert feeds.runner() == "one"
    (letter,) = feeds.undelivered()
    assert letter.event.job_id == "j"
    feeds.forget(letter)
    assert list(feeds.undelivered()) == []
    assert notices.over(["nobody"]) == {"nobody"}
    assert notices.hold(0) == ""
    queue.connection.close()
