"""What schemas of Kubernetes and of the operators say of the manifests, and what none of them sees."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from streamtag import __version__
from streamtag.configuration import load
from streamtag.metrics import Metrics
from streamtag.networks.specs import SPECS
from streamtag.pipeline.health import Health, HttpServer
from streamtag.queue.keys import Keys
from streamtag.settings import HttpSettings, Settings
from streamtag.view.server import Page

from tests.conftest import SHARED_DATA
from tests.k8s.conftest import K8S, OVERLAYS, rendered
from tests.support.page import running

VERSION = "1.35"
CRDS = SHARED_DATA.parent / "crds"
OPERATORS = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1")
Manifest = dict[str, Any]
# What each trigger of KEDA's documentation (keda.sh, Redis Streams, Prometheus) takes, as far as we use it: the
# schema lets any key through.
TRIGGERS = {
    "redis-streams": {"stream", "streamLength"},
    "redis-sentinel-streams": {"stream", "streamLength", "addresses", "sentinelMaster"},
    "redis-cluster-streams": {"stream", "streamLength", "addresses"},
    "prometheus": {"serverAddress", "query", "threshold"},
}
TOLERANCE = 1.1  # of a HorizontalPodAutoscaler, beyond which it scales


def only(objects: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def containers(objects: tuple[Manifest, ...]) -> Iterator[tuple[Manifest, Manifest]]:
    """Each container with its pod's spec."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            spec = one["spec"]["template"]["spec"]
            for container in (*spec.get("initContainers", ()), *spec["containers"]):
                yield container, spec


def environment(objects: tuple[Manifest, ...]) -> dict[str, str]:
    """What workers and those beside them share; a file of sinks is another."""
    (found,) = [one for one in objects if one["kind"] == "ConfigMap" and "STREAMTAG_MODEL__NAME" in one["data"]]
    values: dict[str, str] = found["data"]
    return values


def settings(objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a worker makes of its environment; an unknown name is an error."""
    for name, value in environment(objects).items():
        monkeypatch.setenv(name, value)
    from_environment, _ = load(None, {})
    return from_environment


def test_kubernetes_takes_every_object(objects: tuple[Manifest, ...]) -> None:
    for one in objects:
        if one["apiVersion"] not in OPERATORS:
            kubernetes_validate.validate(one, VERSION, strict=True)


def closed(schema: Any) -> Any:
    """The schema with unknown fields refused, which an operator's own lets pass."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(part) for name, part in schema.items()}
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def test_the_operators_take_every_object_and_know_every_field(objects: tuple[Manifest, ...], shared_data: Path) -> None:
    """By their real definitions, which are not ours to ship."""
    definitions = {}
    for path in CRDS.iterdir():
        for crd in filter(None, yaml.safe_load_all(path.read_text(encoding="utf-8"))):
            for version in crd["spec"]["versions"]:
                key = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                definitions[key] = version["schema"]["openAPIV3Schema"]
    theirs = [one for one in objects if one["apiVersion"] in OPERATORS]
    assert len(theirs) >= 4
    for one in theirs:
        schema = closed(definitions[one["apiVersion"], one["kind"]])
        schema["properties"]["metadata"] = {"type": "object"}
        faults = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(one)]
        assert faults == [], one["kind"]


def test_every_variable_of_the_environment_is_a_setting(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(objects, monkeypatch)
    assert found.model.name in SPECS
    assert found.http.host == "0.0.0.0"
    secret = {
        key["key"] for key in only(objects, "TriggerAuthentication", "streamtag-redis")["spec"]["secretTargetRef"]
    }
    known = {f"STREAMTAG_REDIS__{name.upper()}" for name in type(found.redis).model_fields}
    assert secret <= known


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """The page where Redis is away: its probes must not end it for that."""
    settings, _ = load(None, {"view.port": 0, "redis.url": "redis://127.0.0.1:1/0"})
    with running(settings) as found:
        yield found


def test_every_path_and_port_of_a_probe_is_served(
    page: Page, objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(objects, monkeypatch)
    served = {"metrics": found.http.port, "page": found.view.port}
    probed = set()
    for container, _ in containers(objects):
        if container["image"].startswith("streamtag:"):
            ports = {one["name"]: one["containerPort"] for one in container.get("ports", ())}
            assert ports.items() <= served.items()
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if asked := container.get(probe, {}).get("httpGet"):
                    assert asked["port"] in ports
                    probed.add((asked["port"], asked["path"]))
    health = Health(60.0)
    health.warm = health.redis = True
    server = HttpServer(HttpSettings(host="127.0.0.1", port=0), Metrics().registry, health)
    server.start()
    try:
        urls = {"metrics": server.url, "page": page.url}
        for port, path in probed:
            with urllib.request.urlopen(f"{urls[port]}{path}", timeout=10) as answer:
                assert answer.status == 200
    finally:
        server.stop()
    services = [one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] != "streamtag-redis"]
    for service in services:
        assert {one["targetPort"]: one["port"] for one in service["spec"]["ports"]}.items() <= served.items()


def test_the_page_listens_for_others_where_it_has_a_service(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(objects, monkeypatch)
    has_page = any(one["metadata"]["name"] == "streamtag-view" for one in objects)
    assert found.view.host == ("0.0.0.0" if has_page else "127.0.0.1")
    assert found.view.thumbnails is has_page
    assert not found.view.allow_changes


def test_a_worker_has_the_time_that_it_needs_to_drain(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    drain_s = settings(objects, monkeypatch).worker.drain_s
    spec = only(objects, "Deployment", "streamtag-worker")["spec"]["template"]["spec"]
    # Pipeline.stop has a fifth of it more.
    assert spec["terminationGracePeriodSeconds"] > drain_s + max(2.0, 0.2 * drain_s) + 5


def test_a_notifier_has_the_time_that_a_sink_and_redis_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = rendered("cpu+view+notify")
    found = settings(objects, monkeypatch)
    spec = only(objects, "Deployment", "streamtag-notify")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > found.notify.timeout_s + found.redis.timeout_s + 5


def test_who_looks_and_who_notifies_are_users_of_redis_with_few_rights_and_reach_no_camera() -> None:
    objects = rendered("cpu+view+notify")
    cameras = {80, 443, 554, 8554}  # of the policy that it shares with the workers
    for name, role, out in (
        ("view", "reader", set()),
        ("notify", "notifier", {80, 443, 1883, 8883}),
        ("exporter", "exporter", cameras),
    ):
        template = only(objects, "Deployment", f"streamtag-{name}")["spec"]["template"]
        (secret,) = [one["secretRef"]["name"] for one in template["spec"]["containers"][0]["envFrom"][1:]]
        assert secret == f"streamtag-redis-{role}"
        labels = template["metadata"]["labels"].items()
        policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
        (policy,) = [one for one in policies if one["spec"]["podSelector"]["matchLabels"].items() <= labels]
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert ports == {53, 6379, 6380, 26379} | out
    (ingress,) = only(objects, "NetworkPolicy", "streamtag-view")["spec"]["ingress"]
    assert ingress["from"], "the page has no log-in: only who is let may ask it"


def test_every_container_is_restricted(objects: tuple[Manifest, ...]) -> None:
    """The restricted profile of Kubernetes' Pod Security Standards, and a file system that cannot be written."""
    found = list(containers(objects))
    assert found
    for container, spec in found:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert "memory" in container["resources"]["requests"]
        assert "cpu" not in container["resources"].get("limits", {})


def test_every_job_gets_a_worker_in_the_end(objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoscaler leaves things as they are while they are within a tenth of what is wanted."""
    found = settings(objects, monkeypatch)
    assert isinstance(found.worker.slots, int)
    triggers = only(objects, "ScaledObject", "streamtag-worker")["spec"]["triggers"]
    for trigger in triggers:
        assert set(trigger["metadata"]) - {"address"} == TRIGGERS[trigger["type"]]  # of a Redis of its own
    trigger = triggers[0]
    assert trigger["metadata"]["stream"] == Keys(found.redis.prefix, found.model.name, found.redis.shard).jobs
    wanted = int(trigger["metadata"]["streamLength"])
    starved = [jobs for jobs in range(1, 2000) if capacity(jobs, wanted, found.worker.slots) < jobs]
    assert starved == []


def capacity(jobs: int, wanted: int, slots: int) -> int:
    """Slots of the workers once the autoscaler leaves things as they are, from whatever number of replicas it began.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details)
    """
    most = -(-jobs // wanted) + 1
    stays = [replicas for replicas in range(1, most + 1) if 1 / TOLERANCE <= jobs / replicas / wanted <= TOLERANCE]
    return min([*stays, -(-jobs // wanted)]) * slots


def test_the_check_of_starving_jobs_finds_them() -> None:
    """16 slots and 16 jobs a replica: the 17th job waits for ever, as the 33rd does."""
    assert [jobs for jobs in range(1, 40) if capacity(jobs, 16, 16) < jobs] == [17, 33, 34, 35]


def test_the_rules_are_those_of_prometheus() -> None:
    made = subprocess.run(
        [sys.executable, K8S.parent / "scripts" / "prometheus-rule"], capture_output=True, text=True, check=True
    )
    committed = (K8S / "base" / "prometheus-rule.yaml").read_text(encoding="utf-8")
    assert committed == made.stdout, "write it anew: scripts/prometheus-rule > k8s/base/prometheus-rule.yaml"


def test_alerts_know_the_scrape_jobs_by_name(objects: tuple[Manifest, ...]) -> None:
    made = scrape_jobs(objects) | scrape_jobs(rendered("cpu+view+notify"))  # not every overlay has the components
    rules = yaml.safe_dump(only(objects, "PrometheusRule", "streamtag"))
    assert set(re.findall(r'job="([\w-]+)"', rules)) <= made


def scrape_jobs(objects: tuple[Manifest, ...]) -> set[str]:
    """What Prometheus calls the jobs that the monitors find pods for."""
    made = set()
    for monitor in (one for one in objects if one["kind"] == "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        (relabelled,) = endpoint["relabelings"]
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        for one in objects:
            labels = one["spec"]["template"]["metadata"]["labels"] if one["kind"] == "Deployment" else {}
            if wanted <= labels.items():
                made.add(relabelled["replacement"].replace("$1", labels["app.kubernetes.io/component"]))
    return made


def test_every_image_of_ours_has_the_version_of_this_checkout(objects: tuple[Manifest, ...]) -> None:
    """Components as well, which the base gives no tag."""
    ours = {container["image"] for container, _ in containers(objects) if container["image"].startswith("streamtag")}
    assert ours
    assert ours <= {f"streamtag:{__version__}", f"streamtag:{__version__}-cuda"}


def test_each_overlay_is_another() -> None:
    assert len({yaml.safe_dump_all(rendered(name)) for name in OVERLAYS}) == len(OVERLAYS)
