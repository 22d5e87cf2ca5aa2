"""READ FIRST ``pipeline.py``: it joins the threads, which lie one a file beside it."""
