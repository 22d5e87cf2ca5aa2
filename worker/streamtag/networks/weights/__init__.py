"""Weights: downloaded and checked, or read from the files of other frameworks."""
