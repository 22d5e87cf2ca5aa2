"""Many commands in one round trip, as a server answers to them."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import DataError, ResponseError
from redis.retry import Retry
from streamtag.queue.asking import ask_each

from tests.support.redis_server import RedisServer


def test_of_many_commands_each_has_its_own_answer(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url, protocol=2)
    commands = [("SET", "packed", "1"), ("LPUSH", "packed", "x"), ("NO SUCH", 1), ("GET", "packed")]
    done, wrong, unknown, found = ask_each(client, commands)
    assert (done, found) == (b"OK", b"1")
    assert isinstance(wrong, ResponseError)
    assert isinstance(unknown, ResponseError)
    with pytest.raises(DataError):
        ask_each(client, [("SET", "packed", "2"), ("SET", "packed", None)])
    assert client.get("packed") == b"1", "nothing of it was sent"


def test_answers_that_do_not_come_are_not_taken_for_those_of_the_next(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url, protocol=2, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.exceptions.TimeoutError):
        ask_each(client, [("SET", "packed", "late"), ("BLPOP", "nothing comes", 1)])
    assert ask_each(client, [("ECHO", "a"), ("ECHO", "b")]) == [b"a", b"b"]
