"""The manifests of ``k8s/`` as containers: what kubectl renders is played by podman, with a Redis, and tags a clip.

Podman knows pods, deployments, secrets and config maps. What it does not know of the manifests, such as a StatefulSet,
readiness or the scaler, is checked by schemas only (``tests/k8s``).
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamtag.client import Client
from streamtag.configuration import load
from streamtag.core.records import JobStatus

from tests.image.test_beside_the_worker import Address
from tests.support import eventually
from tests.support.containers import ROOT, Containers
from tests.support.page import Told

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

NETWORK = "streamtag-test-kube"
# A network whose weights are in the image, and one engine: measuring them all takes a minute.
CHANGED = ["STREAMTAG_MODEL__NAME=efficientnet-lite0", "STREAMTAG_ENGINE__NAME=tf_graph"]
# Podman 4.3 may remove an init container before it has seen that it ended, and then fails.
KEEP_INIT = {"io.podman.annotations.init.container.type": "always"}
PLAYED = ("ConfigMap", "Deployment")


def overlay(folder: Path, image: str, films: Path) -> list[dict[str, Any]]:
    """The overlay ``try`` with this image, a network that needs no download, and a folder of films."""
    name, _, tag = image.rpartition(":")
    where = {
        "op": "add",
        "path": "/spec/template/spec/volumes/-",
        "value": {"name": "films", "hostPath": {"path": str(films)}},
    }
    mount = {"name": "films", "mountPath": "/films", "readOnly": True}
    mounts = {"op": "add", "path": "/spec/template/spec/containers/0/volumeMounts/-", "value": mount}
    changed = {
        "resources": [os.path.relpath(ROOT / "k8s" / "overlays" / "try", folder.resolve())],
        "images": [{"name": "streamtag", "newName": name, "newTag": tag}],
        "configMapGenerator": [{"name": "streamtag", "behavior": "merge", "literals": CHANGED}],
        "patches": [
            {"target": {"kind": "Deployment", "name": "streamtag-worker"}, "patch": json.dumps([where, mounts])}
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    kubectl = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert kubectl, "kubectl is missing: make system gets it"
    ran = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=True)
    return list(yaml.safe_load_all(ran.stdout))


def playable(objects: list[dict[str, Any]]) -> str:
    """What podman 4.3 can play.

    Of the StatefulSet of Redis, its pod with a volume that ends with it. Ports are left out: podman gives them to the
    machine, where two pods cannot have the same. Variables in arguments are put in, where a cluster would do so.
    """
    found = [one for one in objects if one["kind"] in PLAYED]
    (redis,) = [one for one in objects if one["kind"] == "StatefulSet"]
    template = redis["spec"]["template"]
    template["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    metadata = {"name": redis["metadata"]["name"], "labels": template["metadata"]["labels"]}
    found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    variables = {name: base64.b64decode(value).decode() for name, value in of_kind(objects, "Secret")["data"].items()}
    variables |= of_kind(objects, "ConfigMap")["data"]
    for one in found:
        pod = one.get("spec", {}).get("template", one)
        one["metadata"]["annotations"] = KEEP_INIT
        spec = pod.get("spec", {})
        for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
            container.pop("ports", None)
            container["args"] = [
                re.sub(r"\$\((\w+)\)", lambda named: variables[named[1]], text) for text in container["args"]
            ]
    return yaml.safe_dump_all(found)


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


@pytest.fixture
def played(containers: Containers, image: str, clip: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The pods run. Gives the settings that the overlay has for them."""
    containers.redis()
    objects = overlay(tmp_path, image, clip.parent)
    path, secret = tmp_path / "played.yaml", of_kind(objects, "Secret")
    path.write_text(playable(objects), encoding="utf-8")
    # Podman 4.3 cannot read the secrets that it makes of manifests: it stores YAML and reads JSON.
    (tmp_path / "secret").write_text(json.dumps(secret["data"]), encoding="utf-8")
    remove(containers)
    containers.podman("network", "create", NETWORK)
    containers.podman("secret", "create", secret["metadata"]["name"], str(tmp_path / "secret"))
    try:
        containers.podman("play", "kube", f"--network={NETWORK}", str(path), limit_s=300)
        yield of_kind(objects, "ConfigMap")["data"] | secret["data"]
    finally:
        remove(containers)


def remove(containers: Containers) -> None:
    """All that podman has of these manifests."""
    pods = containers.podman("pod", "ls", "--format={{.Name}}", "--filter=name=streamtag-").splitlines()
    for pod in pods:
        containers.podman("pod", "rm", "--force", "--time=0", pod)
    secrets = containers.podman("secret", "ls", "--format={{.Name}}").splitlines()
    for secret in secrets:
        containers.podman("secret", "rm", secret)
    containers.podman("volume", "prune", "--force")
    containers.podman("network", "rm", "--force", NETWORK, check=False)


def test_the_rendered_manifests_tag_a_clip_and_show_it(
    containers: Containers, played: dict[str, Any], clip: Path
) -> None:
    address = eventually(lambda: address_of(containers, "streamtag-redis"), "Redis has an address")
    values = {"redis.host": address, "redis.username": "default", "redis.password": "only-to-try-it"}
    settings, _ = load(None, values | {"model.name": played["STREAMTAG_MODEL__NAME"]})
    with Client(settings=settings) as client:
        job = client.submit(f"/films/{clip.name}").job_id
        status = client.wait(job, 300)
        assert (status.status, status.counters.published) == (JobStatus.DONE, 40)
    page = Address(f"http://{address_of(containers, 'streamtag-view-pod-0')}:{played['STREAMTAG_VIEW__PORT']}")
    Told(page).know(job)


def address_of(containers: Containers, pod: str) -> str:
    """Of a pod, in the network of the test."""
    infra = containers.podman("pod", "inspect", "--format={{.InfraContainerID}}", pod)
    networks = json.loads(containers.podman("inspect", "--format={{json .NetworkSettings.Networks}}", infra))
    found: str = networks[NETWORK]["IPAddress"]
    return found
