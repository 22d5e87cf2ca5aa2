"""The demo: clips that the project draws itself, the small network trained on them, and the show."""
