"""Bundles for tests that need a network but no trained one."""

from __future__ import annotations

from streamtag.core.bundle import Bundle
from streamtag.networks.registry import resolve
from streamtag.settings import ModelSettings


def random_bundle(name: str) -> Bundle:
    """The network of that name with weights at random."""
    return resolve(ModelSettings(name=name, weights="random"))
