"""Architectures of our own, where keras.applications has none."""
