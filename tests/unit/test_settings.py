"""Settings: one declaration, typing errors named, secrets unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from streamtag.configuration import flatten, load, parse_override, template
from streamtag.errors import ConfigError
from streamtag.redis_settings import RedisSettings
from streamtag.settings import Settings, SourceSettings

ROOT = Path(__file__).parent.parent.parent


def test_the_file_in_the_repository_is_every_option_at_its_default() -> None:
    text = (ROOT / "config" / "worker.yaml").read_text()
    assert text == template(), "run: streamtag config template > config/worker.yaml"
    assert load(ROOT / "config" / "worker.yaml")[0] == Settings()


def test_every_option_is_described() -> None:
    for group in Settings.model_fields.values():
        for name, declared in group.default.__class__.model_fields.items():
            assert declared.description, name


def test_a_file_of_the_command_line_takes_the_place_of_the_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, slots in (("a", 3), ("b", 5)):
        (tmp_path / f"{name}.yaml").write_text(f"worker: {{slots: {slots}}}\n")
    monkeypatch.setenv("STREAMTAG_CONFIG", str(tmp_path / "a.yaml"))
    assert load()[0].worker.slots == 3
    assert load(tmp_path / "b.yaml")[0].worker.slots == 5
    monkeypatch.setenv("STREAMTAG_CONFIG", "")
    assert load()[1] == {}, "an empty one names none"


def test_precedence_and_origins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text("lease: {seconds: 40, renew_s: 4}\nworker: {slots: 3}\nhttp:\n")
    monkeypatch.setenv("STREAMTAG_LEASE__SECONDS", "50")
    monkeypatch.setenv("STREAMTAG_ENGINE__BUCKETS", "[1, 2]")
    settings, origins = load(path, {"worker.slots": 5})
    assert (settings.lease.seconds, settings.lease.renew_s, settings.worker.slots) == (50, 4, 5)
    assert settings.engine.buckets == [1, 2]
    assert origins == {
        "lease.seconds": "environment",
        "lease.renew_s": f"file {path}",
        "worker.slots": "command line",
        "engine.buckets": "environment",
    }


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ({"lease.secnds": 3}, "lease.secnds: unknown setting"),
        ({"foo.bar": 3}, "foo: unknown setting"),
        ({"worker.slots": 0}, "worker.slots: Input should be greater than or equal to 1"),
        ({"lease.seconds": "soon"}, "lease.seconds"),
        ({"lease.seconds": 6}, "renew_s < stop_after_s < seconds"),
        ({"smoothing.exit": 0.9}, "must not be above smoothing.enter"),
        ({"source.networks": ["10.0.0.0/99"]}, "source.networks"),
        ({"engine.name": "cuda"}, "engine.name"),
        ({"redis.username": 123}, "redis.username: a text is expected: write it in quotes"),
        ({"smoothing.labels": "dog"}, r"smoothing.labels: a list is expected: write it as \[one, two\]"),
        ({"smoothing.labels": [" "]}, r"smoothing.labels.0: a label must not be blank"),
    ],
)
def test_a_wrong_setting_is_named(overrides: dict[str, object], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        load(None, overrides)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("STREAMTAG_LEASE__SECNDS", "lease.secnds"),
        ("STREAMTAG_LAESE__SECONDS", "LAESE"),
        # The tests' own variable is nothing to the program.
        ("STREAMTAG_TEST_DATA", "STREAMTAG_TEST_DATA"),
    ],
)
def test_a_typing_error_in_the_environment_is_no_silence(
    name: str, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=names):
        load()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text("lease: [\n")
    with pytest.raises(ConfigError, match=r"worker.yaml: not valid YAML at line"):
        load(path)
    with pytest.raises(ConfigError, match="no such settings file"):
        load(tmp_path / "none.yaml")


def test_secrets_are_seen_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMTAG_REDIS__URL", "redis://user:hunter2@host:6380/1")
    settings, _ = load()
    assert "hunter2" not in repr(settings) + str(flatten(settings)) + settings.model_dump_json()
    assert flatten(settings)["redis.url"] == "redis://host:6380/1"
    with pytest.raises(ConfigError) as caught:
        load(None, {"redis.shard": -1, "redis.url": 5})
    assert "hunter2" not in str(caught.value)


def test_overrides_are_yaml() -> None:
    assert load(None, dict([parse_override("engine.buckets=[1, 8]")]))[0].engine.buckets == [1, 8]
    assert parse_override("view.host=::") == ("view.host", "::")
    assert parse_override("model.x={a: 1}")[1] == {"a": "1"}
    assert load(None, dict([parse_override("engine.name=null")]))[0].engine.name == "null"
    for wrong in ("lease.seconds", "seconds=3", "lease.seconds=["):
        with pytest.raises(ConfigError, match="--set"):
            parse_override(wrong)


# What YAML would read as a number, a date, nothing or true, or take for its own signs, is a name or password to people.
TEXTS = [
    "123",
    "0123",
    "1e5",
    "2026-01-01",
    "true",
    "off",
    "null",
    "~",
    "",
    "@a",
    "a #b",
    "a: b",
    "*",
    "[a",
    "'a",
    "::",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_as_it_is_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("username", "password"):
        assert parse_override(f"redis.{name}={text}") == (f"redis.{name}", text)
        monkeypatch.setenv(f"STREAMTAG_REDIS__{name.upper()}", text)
    redis = load()[0].redis
    assert (redis.username, redis.password.get_secret_value()) == (text, text)


@pytest.mark.parametrize(
    ("written", "text"),
    [("123", "123"), ("0123", "0123"), ("off", "off"), ("2026-01-01", "2026-01-01"), ("", ""), ("'123'", "123")],
)
def test_a_text_in_a_file_needs_no_quotes_for_its_digits(written: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text(
        f"redis: {{username: {written}, port: 7000, tls_ca: null}}\nsmoothing: {{labels: [{written or 1}]}}\n"
    )
    settings = load(path)[0]
    assert (settings.redis.username, settings.redis.port, settings.redis.tls_ca) == (text, 7000, None)
    assert settings.smoothing.labels == [text or "1"]


def test_what_is_no_text_is_none_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMTAG_SOURCE__CREDENTIALS", "")
    monkeypatch.setenv("STREAMTAG_REDIS__CLUSTER", "yes")
    monkeypatch.setenv("STREAMTAG_SMOOTHING__LABELS", '["\\ud83d\\ude00", "dog"]')  # JSON of what has 17 bits
    monkeypatch.setenv("STREAMTAG_LEASE", '{"seconds": 40}')
    monkeypatch.setenv("STREAMTAG_LEASE__RENEW_S", "4")
    settings = load()[0]
    assert settings.source.credentials is None
    assert settings.redis.cluster
    assert settings.smoothing.labels == ["\U0001f600", "dog"]
    assert (settings.lease.seconds, settings.lease.renew_s) == (40, 4)
    for wrong, names in (("[", "SMOOTHING__LABELS: the value is not valid YAML"), ("dog", "write it as")):
        monkeypatch.setenv("STREAMTAG_SMOOTHING__LABELS", wrong)
        with pytest.raises(ConfigError, match=names):
            load()


def test_the_template_is_yaml_of_every_group() -> None:
    assert set(yaml.safe_load(template())) == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("redis", "addresses"),
    [
        ({}, ["127.0.0.1:6379"]),
        ({"url": "redis://:pa/ss@word@queue.test:7000/3"}, ["queue.test:7000"]),
        ({"url": "rediss://[::1]/0"}, ["[::1]:6379"]),
        ({"url": "redis://queue.test?db=1", "host": "other.test", "port": 7001}, ["other.test:7001"]),
        ({"url": "unix:///run/redis.sock"}, []),
        ({"sentinels": ["s1.test:26379"]}, ["s1.test:26379", "127.0.0.1:6379"]),
    ],
)
def test_every_redis_that_the_settings_name_is_no_source(redis: dict[str, Any], addresses: list[str]) -> None:
    settings = Settings(redis=RedisSettings(**redis), source=SourceSettings(forbidden=["db.test:5432"]))
    assert settings.guarded_source().forbidden == ["db.test:5432", *addresses]
    told = ["10.0.0.7:6379", "db.test:5432"]
    assert settings.guarded_source(told).forbidden == ["db.test:5432", *addresses, "10.0.0.7:6379"]
