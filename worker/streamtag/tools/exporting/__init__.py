"""The results of a job in formats that others read. READ FIRST: ``formats.py``."""
