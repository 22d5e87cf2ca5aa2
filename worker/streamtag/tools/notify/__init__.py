"""Events told to others: webhooks and brokers. READ FIRST: ``runner.py``."""
