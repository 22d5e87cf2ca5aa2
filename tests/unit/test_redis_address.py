"""What is read of the address of Redis: what was meant or an error, and never a password in a message."""

from __future__ import annotations

import pytest
from streamtag.configuration import flatten, load
from streamtag.errors import ConfigError
from streamtag.queue.address import open_client, redis_cli, user, where
from streamtag.redis_settings import RedisSettings
from streamtag.settings import Settings

KEY = "st:{m.0}:jobs"


def settings(**values: object) -> Settings:
    return load(None, {f"redis.{name}": value for name, value in values.items()})[0]


def connection(redis: RedisSettings) -> dict[str, object]:
    return dict(open_client(redis, KEY).connection_pool.connection_kwargs)


def test_what_is_set_apart_takes_the_place_of_the_urls_part() -> None:
    redis = settings(url="redis://u:p@old:1/3", host="new", port=2, username="me", password="s/e#c?r@t").redis
    found = connection(redis)
    assert (found["host"], found["port"], found["username"], found["password"]) == ("new", 2, "me", "s/e#c?r@t")
    assert found["db"] == 3
    assert (where(redis), user(redis)) == ("redis://new:2", "me")


def test_each_part_alone_leaves_the_others() -> None:
    found = connection(settings(url="redis://u:p@old:1", password="q").redis)
    assert (found["host"], found["port"], found["username"], found["password"]) == ("old", 1, "u", "q")


@pytest.mark.parametrize(
    ("url", "typed"),
    [
        ("redis://127.0.0.1:6379/0", "redis-cli"),
        ("redis://me:secret@localhost:7000", "redis-cli -p 7000"),
        ("redis://cache.lan", "redis-cli -h cache.lan"),
        ("rediss://cache.lan:7000", "redis-cli -h cache.lan -p 7000 --tls"),
        ("unix:///run/a redis.sock", "redis-cli -s '/run/a redis.sock'"),
    ],
)
def test_redis_cli_is_sent_to_the_same_server_and_told_no_password(url: str, typed: str) -> None:
    redis = settings(url=url).redis
    assert redis_cli(redis, open_client(redis, KEY)) == typed


@pytest.mark.parametrize(
    "url",
    [
        "redis://:pa/ss@host",
        "redis://:12/ss@host",
        "redis://:12#ss@host",
        "redis://:12?ss@host",
        "redis://:pa#ss@host/0",
        "redis://:pa[ss@host",
        "http://host",
        "redis://host:99999",
        "redis://host/0?socket_tiemout=3",
        "host:6379",
    ],
)
def test_an_address_that_is_none_is_refused_without_quoting_it(url: str) -> None:
    """``redis://:12#ss@host`` is read by redis-py as port 12 of this machine, and its error would tell the 12."""
    with pytest.raises(ConfigError) as told:
        open_client(settings(url=url).redis, KEY)
    assert "no valid address" in str(told.value)
    for part in ("ss@", "12", "tiemout", "99999"):
        assert part not in str(told.value)


def test_ways_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one"):
        settings(cluster=True, sentinels=["a:1"])
    with pytest.raises(ConfigError, match="cluster: true only"):
        settings(cluster_nodes=["a:1"])
    with pytest.raises(ConfigError, match=r"sentinels\.0"):
        settings(sentinels=["a"])
    with pytest.raises(ConfigError, match="no numbered databases"):
        open_client(settings(cluster=True, url="redis://h:1/2").redis, KEY)


def test_config_show_says_of_secrets_only_that_they_are_set() -> None:
    shown = flatten(settings(url="redis://u:pw1@h:1/0", password="pw2", sentinel_password="pw3"))
    assert (shown["redis.url"], shown["redis.password"]) == ("redis://h:1/0", "***")
    assert not {"pw1", "pw2", "pw3"} & {part for value in shown.values() for part in str(value).split(":")}
    assert flatten(settings())["redis.password"] == ""


@pytest.mark.parametrize(
    ("values", "servers"),
    [
        ({"url": "redis://u:p@h:1/0"}, ["h:1"]),
        ({"url": "rediss://h"}, ["h:6379"]),
        ({"url": "redis://[::1]:7/0"}, ["[::1]:7"]),
        ({"url": "redis://u:p@h:1/0", "host": "other"}, ["other:1"]),
        ({"url": "redis://u:p@h:1/0", "port": 2}, ["h:2"]),
        ({"url": "unix:///run/redis.sock"}, []),
        ({"url": "redis://h:1", "sentinels": ["a:2", "b:3"]}, ["h:1", "a:2", "b:3"]),
        ({"url": "redis://h:1", "cluster": True, "cluster_nodes": ["c:4"]}, ["h:1", "c:4"]),
    ],
)
def test_no_job_reaches_a_server_that_the_settings_name(values: dict[str, object], servers: list[str]) -> None:
    assert sorted(settings(**values).guarded_source().forbidden) == sorted(servers)
