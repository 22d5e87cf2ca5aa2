"""The threads of the pipeline, one a file. ``worker/pipeline.py`` says how they are joined."""
