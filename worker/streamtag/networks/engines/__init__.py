"""Engines: what turns a network into a compiled ``predict`` for the device at hand."""
