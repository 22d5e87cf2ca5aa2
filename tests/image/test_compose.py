"""``Dockerfile`` by a linter, ``compose.yaml`` by its schema, by our settings, and what it says without passwords."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamtag.configuration import load
from streamtag.view_settings import ViewSettings

from tests.support.containers import ROOT
from tests.support.redis_acl import ROLES

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return found


def copied(folder: Path) -> Path:
    """What compose reads, in a folder of the test's own: secrets and volumes are then the test's."""
    target = folder / "streamtag"
    for name in ("compose.yaml", "config", "scripts"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name)
        else:
            target.mkdir()
            shutil.copy(ROOT / name, target / name)
    return target


def test_the_schema_of_compose_takes_it() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_dockerfile_is_clean() -> None:
    ran = subprocess.run(
        [BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.returncode) == ("", 0)


def test_every_variable_is_a_setting(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    subprocess.run([copied(tmp_path) / "scripts" / "compose-secrets"], check=True, capture_output=True, timeout=60)
    for service in ("worker", "exporter", "view", "notify", "jobs"):
        with monkeypatch.context() as patch:
            (path,) = compose["services"][service]["env_file"]
            secrets = (tmp_path / "streamtag" / ".compose" / Path(path).name).read_text(encoding="utf-8").split()
            pairs = [line.partition("=")[::2] for line in secrets]
            for name, value in [*compose["services"][service]["environment"].items(), *pairs]:
                patch.setenv(name, value)
            settings, _ = load(None, {})
            assert settings.redis.host == "redis"
            assert settings.redis.username
            assert settings.redis.password
            assert settings.view.host == ("0.0.0.0" if service == "view" else "127.0.0.1")


def test_only_this_machine_reaches_what_is_published(compose: dict[str, Any]) -> None:
    """The page has no log-in, and Prometheus and Alertmanager have none either."""
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(published) == {"view", "prometheus", "alertmanager", "grafana"}
    assert [port for ports in published.values() for port in ports if not port.startswith("127.0.0.1:")] == []
    assert published["view"] == [f"127.0.0.1:{ViewSettings().port}:{ViewSettings().port}"]


def test_the_file_of_sinks_is_one_of_ours(compose: dict[str, Any]) -> None:
    (volume,) = compose["services"]["notify"]["volumes"]
    ours, inside, _ = volume.split(":")
    assert compose["services"]["notify"]["command"][-1] == inside
    settings, _ = load(ROOT / ours, {})
    assert [sink.name for sink in settings.notify.sinks] == ["alarm"]


def test_every_file_and_service_that_is_named_is_there(compose: dict[str, Any]) -> None:
    volumes = [one for service in compose["services"].values() for one in service.get("volumes", ())]
    ours = [ROOT / one.split(":")[0] for one in volumes if one.startswith("./")]
    assert len(ours) >= 4
    assert [path for path in ours if not path.exists()] == []
    scraped = (ROOT / "config" / "compose" / "prometheus.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"([a-z]+):\d+", scraped)) <= set(compose["services"])
    rules = (ROOT / "config" / "prometheus" / "rules.yaml").read_text(encoding="utf-8")
    jobs = {one["job_name"] for one in yaml.safe_load(scraped)["scrape_configs"]}
    assert set(re.findall(r'job="([\w-]+)"', rules)) <= jobs


def test_prometheus_and_alertmanager_take_their_files() -> None:
    folder = ROOT / "config" / "compose"
    for command in (
        ["promtool", "check", "config", "--syntax-only", str(folder / "prometheus.yaml")],
        ["amtool", "check-config", str(folder / "alertmanager.yaml")],
    ):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_secrets_are_made_once_and_redis_gets_hashes_only(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    made = folder / ".compose"
    for _ in range(2):
        subprocess.run([folder / "scripts" / "compose-secrets"], check=True, capture_output=True, timeout=60)
        texts = {path.name: path.read_text(encoding="utf-8") for path in made.iterdir()}
    assert made.stat().st_mode & 0o077 == 0
    assert set(texts) == {"users.acl", "grafana.env", *(f"{role}.env" for role in ROLES)}
    secrets = [re.findall(r"PASSWORD=(\w{48})$", text, re.MULTILINE) for name, text in texts.items() if "env" in name]
    assert len({one for (one,) in secrets}) == len(ROLES) + 1
    assert "SHA256-OF" not in texts["users.acl"]
    assert not any(one in texts["users.acl"] for (one,) in secrets)
    assert (folder / ".env").read_text(encoding="utf-8") == "STREAMTAG_SECRETS=./.compose\n"


def test_without_secrets_it_says_what_to_do(tmp_path: Path) -> None:
    ran = subprocess.run(
        [BIN / "podman-compose", "config"],
        cwd=copied(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "run scripts/compose-secrets first" in ran.stdout + ran.stderr
