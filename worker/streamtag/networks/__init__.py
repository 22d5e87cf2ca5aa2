"""Names of networks to compiled networks. ``loading.load`` is the way in: what settings mean, ready to classify."""
