def classify() -> None:
    pass
