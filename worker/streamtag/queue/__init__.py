"""The Redis protocol of section "Redis" in the README: keys, scripts, and the two sides that speak it."""
