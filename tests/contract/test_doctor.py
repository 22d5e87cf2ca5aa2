"""What doctor says of a real Redis, and that each of its remedies does away with the fault."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamtag.settings import Settings
from streamtag.tools.doctor import Finding, examine

from tests.support import RedisServer, redis_binaries, settings_for


def about_redis(settings: Settings) -> dict[str, Finding]:
    """The findings of the first check alone: the others take seconds."""
    findings = itertools.takewhile(lambda finding: "redis" in finding.check, examine(settings))
    return {finding.check: finding for finding in findings}


@pytest.mark.parametrize("prepare", [lambda client: None, lambda client: client.config_set("maxmemory", "1gb")])
def test_what_doctor_tells_to_run_at_redis_makes_all_of_it_right(
    prepare: Callable[[object], None], tmp_path: Path
) -> None:
    """A server without a limit or log; then one that evicts: the commands are carried out as they are written."""
    with RedisServer(redis_binaries()[0], tmp_path) as server, server.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        prepare(client)
        settings = settings_for(server)
        for _ in range(3):
            faults = [finding for finding in about_redis(settings).values() if finding.level != "ok"]
            for finding in faults:
                command = re.search(rf"redis-cli -p {server.port} config set (\S+) (\S+)", finding.remedy)
                assert command is not None, f"it changes this server, and no other of the machine: {finding}"
                client.config_set(command[1], command[2])
        assert faults == [], "after the last of them nothing is left"


def test_a_redis_that_is_away_has_a_remedy() -> None:
    finding = next(examine(Settings(redis={"url": "redis://127.0.0.1:9"})))
    assert (finding.check, finding.level) == ("redis", "fail")
    assert "redis.url" in finding.remedy


def test_credentials_that_cannot_be_used_are_named_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "lobby").write_text("admin:secret@cam.lan")
    (tmp_path / "yard").write_text("admin:secret")
    assert [(one.level, one.seen) for one in about_credentials(tmp_path)] == [
        ("fail", "yard: its file is not user:password@hosts (source.credentials, yard)"),
        ("ok", f"1 of 2 in {tmp_path} can be used"),
    ]
    (gone,) = about_credentials(tmp_path / "none")
    assert (gone.level, "No such file" in gone.seen, "source.credentials" in gone.remedy) == ("fail", True, True)


def about_credentials(folder: Path) -> list[Finding]:
    """Its findings alone; the checks that come after take seconds."""
    found: list[Finding] = []
    for finding in examine(Settings(redis={"url": "redis://127.0.0.1:9"}, source={"credentials": folder})):
        if finding.check == "credentials":
            found.append(finding)
        elif found:
            break
    return found


def test_a_fault_without_a_remedy_cannot_be_told() -> None:
    assert Finding("x", "ok", "y").remedy == ""
    for level in ("warn", "fail"):
        with pytest.raises(ValueError, match="x: a fault without a remedy"):
            Finding("x", level, "y")
