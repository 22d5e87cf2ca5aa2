"""Your own classes: a new head, and if wanted the last blocks, on a network that ImageNet has taught to see."""
