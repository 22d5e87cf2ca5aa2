"""The Redis protocol of ``docs/protocol.md``: keys, scripts, and the two sides that speak it."""
