"""Whom the pods may reach, and who may reach them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from streamtag.ingest.destinations import METADATA

from tests.k8s.test_consistency import Manifest, of_kind, settings


def test_the_network_policy_lets_out_what_the_settings_name(
    objects: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(objects, monkeypatch)
    (policy,) = [one for one in of_kind(objects, "NetworkPolicy") if one["metadata"]["name"] == "streamtag"]
    out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    asked = {int(address.rpartition(":")[2]) for address in found.redis.addresses}
    under_tls = 6380  # as config/redis/README.md has it
    assert asked | {under_tls, 53, 554, 8554, 80, 443} <= out
    assert {found.http.port} == {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}


def test_the_network_policies_let_out_by_both_kinds_of_ip_but_to_no_metadata(objects: tuple[Manifest, ...]) -> None:
    """Cameras with an address of IPv6 alone were not reached; and what the program refuses, the cluster does."""
    for policy in of_kind(objects, "NetworkPolicy"):
        peers = [
            peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule.get("to", ()) if "ipBlock" in peer
        ]
        blocks = {block["cidr"]: {ip_network(one) for one in block["except"]} for block in peers}
        wanted = {
            everything: {one for one in METADATA if one.version == version}
            for everything, version in (("0.0.0.0/0", 4), ("::/0", 6))
        }
        assert blocks == ({} if "view" in policy["metadata"]["name"] else wanted), policy["metadata"]["name"]
