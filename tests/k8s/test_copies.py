"""Copies of an overlay for other models in one namespace, made as k8s/README.md says, and names across namespaces."""

from __future__ import annotations

import pytest

from tests.k8s.conftest import K8S, rendered
from tests.k8s.test_consistency import Manifest, of_kind, pods, scaler_refers_to, settings


def test_the_page_of_another_model_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one namespace, the copy made as k8s/README.md says."""
    one, copy = rendered("cpu+view+notify"), rendered("cpu+view+notify", "vgg16")
    assert settings(copy, monkeypatch).model.name == "vgg16"
    for service, own, other in ((page_service(one), one, copy), (page_service(copy), copy, one)):
        chosen = service["spec"]["selector"].items()
        assert any(chosen <= template["metadata"]["labels"].items() for template in pods(own))
        assert not any(chosen <= template["metadata"]["labels"].items() for template in pods(other))
    for template in pods(copy):
        assert template["metadata"]["labels"]["streamtag/model"] == "vgg16"


def page_service(objects: tuple[Manifest, ...]) -> Manifest:
    (found,) = [one for one in of_kind(objects, "Service") if one["metadata"]["name"].startswith("streamtag-view")]
    return found


COPIED = ["cpu+view+notify+live-saturation", "sentinel", "try"]


@pytest.mark.parametrize("overlay", COPIED)
def test_the_scaler_of_a_copy_scales_the_copy(overlay: str) -> None:
    """It once scaled the first one's workers."""
    copy = rendered(overlay, "vgg16")
    scaler_refers_to(copy, {(found["kind"], found["metadata"]["name"]) for found in copy})


@pytest.mark.parametrize("overlay", COPIED)
def test_no_selector_finds_pods_of_another_model(overlay: str) -> None:
    """Autoscalers whose pods overlap scale nothing, a pod with two budgets is not evicted, and it is scraped twice."""
    one, copy = rendered(overlay), rendered(overlay, "vgg16")
    for own, other in ((one, copy), (copy, one)):
        for found in of_kind(own, "Deployment", "Service", "PodDisruptionBudget", "PodMonitor"):
            if found["metadata"]["name"].startswith("streamtag-redis"):
                continue  # of the overlay `try`, and not for copying
            chosen = found["spec"]["selector"]
            wanted = chosen.get("matchLabels", chosen).items()
            assert any(wanted <= template["metadata"]["labels"].items() for template in pods(own))
            assert not any(wanted <= template["metadata"]["labels"].items() for template in pods(other)), found["kind"]


def test_a_proxy_may_serve_the_pages_of_several_models() -> None:
    """With one label, as k8s/README.md says; a copy's model was asked of it, too."""
    for model in ("", "vgg16"):
        (policy,) = [
            one
            for one in of_kind(rendered("cpu+view", model), "NetworkPolicy")
            if one["metadata"]["name"].startswith("streamtag-view")
        ]
        ((peer,),) = [rule["from"] for rule in policy["spec"]["ingress"]]
        wanted = {"key": "streamtag/may-view", "operator": "In", "values": ["true"]}
        assert peer == {"podSelector": {"matchExpressions": [wanted]}}


def test_keda_finds_redis_from_a_namespace_of_its_own() -> None:
    (scaled,) = of_kind(rendered("try"), "ScaledObject")
    host, _, namespace = scaled["spec"]["triggers"][0]["metadata"]["address"].partition(":")[0].partition(".")
    assert host in {one["metadata"]["name"] for one in of_kind(rendered("try"), "Service")}
    assert f"kubectl create namespace {namespace}\n" in (K8S / "README.md").read_text(encoding="utf-8")
