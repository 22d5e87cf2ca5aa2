"""READ FIRST ``pipeline.py``: it joins the threads, which lie one per file beside it."""
