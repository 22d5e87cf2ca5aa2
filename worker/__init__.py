"""Streamtag: a streaming video recognition worker. Start reading at ``worker/pipeline.py``."""

__version__ = "0.1.0"
