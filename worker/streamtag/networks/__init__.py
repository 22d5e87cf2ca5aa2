"""Networks by name: what they need, how they are built, where their weights and labels come from."""
