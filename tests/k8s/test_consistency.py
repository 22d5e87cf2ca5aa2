"""What no schema sees of the manifests: quantities that fit each other, and names on both sides of a reference."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from streamtag.cli.catalogue import command_line
from streamtag.configuration import load
from streamtag.networks.registry import resolve
from streamtag.settings import Settings
from typer.main import get_command

from tests.k8s.conftest import rendered
from tests.k8s.test_manifests import environment
from tests.support import NULL, RedisServer, Worker, run_cli, settings_for

Manifest = dict[str, Any]
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)}
# Redis's own: https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
REDIS_UNITS = {"kb": 1024.0, "mb": 1024.0**2, "gb": 1024.0**3}


def quantity(text: str | int) -> float:
    """Bytes, cores or pieces of a quantity of Kubernetes."""
    found = QUANTITY.fullmatch(str(text))
    assert found, f"no quantity: {text}"
    return float(found[1]) * UNITS[found[2] or ""]


def of_kind(objects: tuple[Manifest, ...], *kinds: str) -> Iterator[Manifest]:
    return (one for one in objects if one["kind"] in kinds)


def pods(objects: tuple[Manifest, ...]) -> list[Manifest]:
    """The templates of all pods."""
    return [one["spec"]["template"] for one in of_kind(objects, "Deployment", "StatefulSet")]


def containers(template: Manifest) -> list[Manifest]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def settings(objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(objects).items():
        monkeypatch.setenv(name, value)
    return load(None, {})[0]


def worker(objects: tuple[Manifest, ...]) -> Manifest:
    (found,) = [
        one for one in pods(objects) if one["metadata"]["labels"].get("app.kubernetes.io/component") == "worker"
    ]
    return found


def test_no_container_asks_for_more_than_it_may_have(objects: tuple[Manifest, ...]) -> None:
    for template in pods(objects):
        for container in containers(template):
            requests, limits = container["resources"]["requests"], container["resources"].get("limits", {})
            for name in requests.keys() & limits.keys():
                assert 0 < quantity(requests[name]) <= quantity(limits[name]), container["name"]
            assert 0 < quantity(requests["cpu"]) <= 64
            assert 64 * 1024**2 <= quantity(requests["memory"]) <= 64 * 1024**3


def test_the_pictures_of_all_jobs_fit_beside_the_network(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has all its slots busy may not be ended for its memory: decoders own 24 MB each (DESIGN, 2)."""
    found = settings(objects, monkeypatch)
    assert isinstance(found.worker.slots, int)
    picture = math.prod(resolve(found.model).preprocessing.shape)
    (main,) = worker(objects)["spec"]["containers"]
    limit = quantity(main["resources"]["limits"]["memory"])
    network = 2.8e9  # Xception while it is compiled, as k8s/base/worker.yaml says
    assert found.worker.slots * (found.source.slots * picture + 24e6) + network <= limit


def test_redis_keeps_less_than_its_container_may_have(objects: tuple[Manifest, ...]) -> None:
    for template in pods(objects):
        for container in containers(template):
            arguments = [str(argument) for argument in container.get("args", ())]
            if "--maxmemory" in arguments:
                given = arguments[arguments.index("--maxmemory") + 1]
                most = float(given[:-2]) * REDIS_UNITS[given[-2:]]
                assert most <= 0.8 * quantity(container["resources"]["limits"]["memory"]), (
                    "it forks to rewrite its file"
                )


def test_volumes_are_mounted_that_there_are(objects: tuple[Manifest, ...]) -> None:
    claims = {
        claim["metadata"]["name"]
        for one in of_kind(objects, "StatefulSet")
        for claim in one["spec"].get("volumeClaimTemplates", ())
    }
    for template in pods(objects):
        volumes = {one["name"]: one for one in template["spec"].get("volumes", ())}
        mounted = {one["name"] for container in containers(template) for one in container.get("volumeMounts", ())}
        assert mounted <= volumes.keys() | claims
        assert volumes.keys() <= mounted
        for volume in volumes.values():
            if "emptyDir" in volume:
                assert quantity(volume["emptyDir"]["sizeLimit"]) >= 16 * 1024**2, volume["name"]


def test_what_is_referred_to_is_there(objects: tuple[Manifest, ...]) -> None:
    """Each ConfigMap, account and trigger's authentication; the Secret is the user's, and k8s/README.md says so."""
    there = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for template in pods(objects):
        for container in containers(template):
            for source in container.get("envFrom", ()):
                if "configMapRef" in source:
                    assert ("ConfigMap", source["configMapRef"]["name"]) in there
                else:
                    assert source["secretRef"]["name"].startswith("streamtag-redis")
        for volume in template["spec"].get("volumes", ()):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
            if "secret" in volume:
                assert volume["secret"]["optional"], "without one, a pod would never start"
        if account := template["spec"].get("serviceAccountName"):
            assert ("ServiceAccount", account) in there
    scaler_refers_to(objects, there)


def scaler_refers_to(objects: tuple[Manifest, ...], there: set[tuple[str, str]]) -> None:
    """Workers, their Redis and its Secret, by the names that they have in the end."""
    (scaled,) = of_kind(objects, "ScaledObject")
    assert ("Deployment", scaled["spec"]["scaleTargetRef"]["name"]) in there
    for trigger in scaled["spec"]["triggers"]:
        if "authenticationRef" in trigger:
            assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in there
    secrets = {one["metadata"]["name"] for one in of_kind(objects, "Secret")} or {"streamtag-redis"}
    (authentication,) = of_kind(objects, "TriggerAuthentication")
    assert {one["name"] for one in authentication["spec"]["secretTargetRef"]} <= secrets


def test_every_selector_finds_its_pods(objects: tuple[Manifest, ...]) -> None:
    labels = [template["metadata"]["labels"] for template in pods(objects)]

    def finds(selector: dict[str, str]) -> bool:
        return any(selector.items() <= one.items() for one in labels)

    for one in of_kind(objects, "Service"):
        assert finds(one["spec"]["selector"]), one["metadata"]["name"]
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        chosen = one["spec"]["selector"]["matchLabels"]
        assert chosen.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    for one in of_kind(objects, "PodDisruptionBudget", "PodMonitor"):
        assert finds(one["spec"]["selector"]["matchLabels"]), one["kind"]
    for one in of_kind(objects, "NetworkPolicy"):
        assert finds(one["spec"]["podSelector"]["matchLabels"])
    for template in pods(objects):
        for constraint in template["spec"].get("topologySpreadConstraints", ()):
            assert constraint["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert worker(objects)["spec"]["topologySpreadConstraints"]


def test_named_ports_are_ports_of_the_pods(objects: tuple[Manifest, ...]) -> None:
    named = {
        port["name"]
        for template in pods(objects)
        for container in containers(template)
        for port in container.get("ports", ())
    }
    for one in of_kind(objects, "PodMonitor"):
        assert {endpoint["port"] for endpoint in one["spec"]["podMetricsEndpoints"]} <= named
    for one in of_kind(objects, "Service"):
        assert {port["targetPort"] for port in one["spec"]["ports"] if isinstance(port["targetPort"], str)} <= named


def test_labels_of_a_pod_say_what_it_serves(objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus has model and shard from there."""
    found = settings(objects, monkeypatch)
    for template in pods(objects):
        labels = template["metadata"]["labels"]
        if "streamtag/model" in labels:
            assert labels["streamtag/model"] == found.model.name
            assert labels["streamtag/shard"] == str(found.redis.shard)


def test_every_command_is_one_of_ours(objects: tuple[Manifest, ...]) -> None:
    root: Any = get_command(command_line())
    for template in pods(objects):
        for container in containers(template):
            if container["image"].startswith("streamtag:"):
                command = root
                for word in container["args"]:
                    if hasattr(command, "commands"):
                        assert word in command.commands, container["args"]
                        command = command.commands[word]
                    elif word.startswith("-"):
                        assert word in {name for one in command.params for name in one.opts}, container["args"]
                assert not hasattr(command, "commands"), "a group of commands is none"


def test_the_network_is_converted_ahead_where_a_processor_computes(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the worker's own libraries, into the folder that it reads, and without the pod asking for more."""
    spec = worker(objects)["spec"]
    (fetching,), (serving,) = spec["initContainers"], spec["containers"]
    assert ("--convert" in fetching["args"]) != settings(objects, monkeypatch).engine.require_gpu
    assert fetching["image"] == serving["image"]
    assert fetching["env"] == serving["env"]
    (cache,) = [one["value"] for one in serving["env"] if one["name"] == "STREAMTAG_MODEL__CACHE"]
    mounts = [
        next(one for one in container["volumeMounts"] if one["mountPath"] == cache) for container in (fetching, serving)
    ]
    assert mounts[0]["name"] == mounts[1]["name"]
    assert not mounts[0].get("readOnly")
    for name, asked in fetching["resources"]["requests"].items():
        assert quantity(asked) <= quantity(serving["resources"]["requests"][name])


def test_figures_of_the_scaler_are_in_their_ranges(objects: tuple[Manifest, ...]) -> None:
    """Those of Kubernetes (stabilization 0 to 3600 s, periods up to 1800 s), and those that make sense here."""
    (scaled,) = of_kind(objects, "ScaledObject")
    spec = scaled["spec"]
    assert 0 <= spec["minReplicaCount"] <= spec["maxReplicaCount"] <= 1000
    assert 5 <= spec["pollingInterval"] <= 60
    assert spec["cooldownPeriod"] >= 4 * spec["pollingInterval"]
    assert 1 <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]
    for rules in spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"].values():
        assert 0 <= rules["stabilizationWindowSeconds"] <= 3600
        for policy in rules["policies"]:
            assert policy["value"] > 0
            assert 0 < policy["periodSeconds"] <= 1800


def test_a_new_worker_is_given_time_and_a_hung_one_is_not(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(objects, monkeypatch)
    (main,) = worker(objects)["spec"]["containers"]
    startup, liveness = main["startupProbe"], main["livenessProbe"]
    started_s = startup["periodSeconds"] * startup["failureThreshold"]
    assert started_s >= 240, "the largest network compiles for two minutes on a slow machine"
    assert started_s > found.redis.start_s + 120, "Redis is waited for after that, and says so by its exit code"
    # /livez itself waits for http.stuck_s before it says that a thread hangs.
    assert 30 <= liveness["periodSeconds"] * liveness["failureThreshold"] <= 120


@pytest.fixture(scope="module")
def exported(redis_server: RedisServer) -> set[str]:
    """Names of all series of a worker, an exporter and a notifier that run."""
    settings = settings_for(redis_server)
    sink = {"name": "alarm", "kind": "webhook", "url": "http://127.0.0.1:9/"}
    lines = []
    worker = Worker(settings, *NULL).ready()
    notifier = Worker(settings, command="notify", env={"STREAMTAG_NOTIFY__SINKS": json.dumps([sink])})
    for running in (worker, notifier):
        try:
            status, text = running.get("/metrics")
        finally:
            running.kill()
        assert status == 200
        lines += text.splitlines()
    once = run_cli(settings, "exporter", "--once")
    assert once.returncode == 0, once.stderr
    lines += once.stdout.splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if line and not line.startswith("#")}


def test_every_metric_that_a_rule_or_scaler_names_is_exported(
    objects: tuple[Manifest, ...], exported: set[str]
) -> None:
    (rules,) = of_kind(objects, "PrometheusRule")
    (scaled,) = of_kind(objects, "ScaledObject")
    asked = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    asked += [trigger["metadata"].get("query", "") for trigger in scaled["spec"]["triggers"]]
    without_labels = re.sub(r"{[^}]*}|\b(by|on) \([^)]*\)", "", "\n".join(asked))
    named = set(re.findall(r"(?<![\w:])streamtag_\w+", without_labels))
    assert len(named) > 10
    assert named - exported == set()


def test_the_checks_know_a_quantity_from_something_else() -> None:
    assert [quantity(text) for text in ("20m", "4Gi", 2, "1.5")] == [0.02, 4 * 1024**3, 2, 1.5]
    with pytest.raises(AssertionError, match="no quantity"):
        quantity("4 GB")


def test_the_try_overlay_has_a_redis_of_its_own() -> None:
    services = {one["metadata"]["name"] for one in of_kind(rendered("try"), "Service")}
    (secret,) = of_kind(rendered("try"), "Secret")
    assert base64.b64decode(secret["data"]["STREAMTAG_REDIS__HOST"]).decode() in services
