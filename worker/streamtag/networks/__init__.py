"""Names of networks to compiled networks. ``load`` is the way in: what settings mean, ready to classify."""

from streamtag.networks.loading import LoadedNetwork, LoadStage, LoadStep, OnStep, load

__all__ = ["LoadStage", "LoadStep", "LoadedNetwork", "OnStep", "load"]
