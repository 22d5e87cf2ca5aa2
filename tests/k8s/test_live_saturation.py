"""The second trigger, by how busy the devices are with live streams: where the fleet comes to rest with it.

Its fields are checked with those of all other manifests.
"""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tests.k8s.autoscaler import TOLERANCE
from tests.k8s.conftest import rendered

MOST = 50


def of_kind(kind: str, overlay: str = "cpu+live-saturation") -> list[dict[str, Any]]:
    return [one for one in rendered(overlay) if one["kind"] == kind]


@pytest.fixture(scope="module")
def trigger() -> dict[str, Any]:
    jobs, saturation = of_kind("ScaledObject")[0]["spec"]["triggers"]
    assert [jobs] == of_kind("ScaledObject", "cpu")[0]["spec"]["triggers"], "the first stays as it is"
    metadata: dict[str, Any] = saturation["metadata"]
    return metadata


def test_it_asks_for_the_workers_that_it_scales_and_no_others(trigger: dict[str, Any]) -> None:
    """By labels that Prometheus has from the pods: a slash becomes an underscore there."""
    (monitor,) = of_kind("PodMonitor")
    (pod,) = [one["spec"]["template"] for one in of_kind("Deployment") if one["metadata"]["name"] == "streamtag-worker"]
    taken = {re.sub(r"\W", "_", name): pod["metadata"]["labels"][name] for name in monitor["spec"]["podTargetLabels"]}
    assert dict(re.findall(r'(\w+)="([^"]*)"', trigger["query"])) == taken | {"source": "live"}


@pytest.mark.parametrize("from_replicas", [1, 2, 7, 30, MOST])
def test_the_fleet_comes_to_rest_where_its_devices_can_do_what_cameras_ask(
    trigger: dict[str, Any], from_replicas: int
) -> None:
    """A device is never more than wholly busy, so what is asked beyond that shows only once there are more of them."""
    threshold = float(trigger["threshold"])
    for tenths in range(1, 300):
        asked = tenths / 10  # device seconds a second
        replicas = settled(asked, threshold, from_replicas)
        assert asked / replicas <= threshold * (1 + TOLERANCE) + 1e-9, f"{replicas} replicas for {asked}"
        assert replicas <= max(1, math.ceil(asked / threshold)) or replicas == from_replicas, "more than are wanted"


@pytest.mark.parametrize("threshold", [0.95, 1.0])
def test_a_threshold_that_a_busy_device_does_not_pass_would_leave_streams_short(threshold: float) -> None:
    """So the test above is seen to find it: within a tenth of the threshold nothing happens."""
    assert settled(5.0, threshold, 1) < 5


def settled(asked: float, threshold: float, replicas: int) -> int:
    """Replicas once the autoscaler leaves things as they are, streams being shared evenly."""
    for _ in range(100):
        busy = min(asked, replicas)
        if abs(busy / (threshold * replicas) - 1.0) <= TOLERANCE:
            return replicas
        wanted = min(MOST, max(1, math.ceil(busy / threshold)))
        if wanted == replicas:
            return replicas
        replicas = wanted
    raise AssertionError(f"never comes to rest: {asked}")
