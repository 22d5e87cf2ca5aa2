"""How good a network is, on labelled pictures and on labelled streams."""
