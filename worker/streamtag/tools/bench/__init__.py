"""Benchmarks: what a sample costs outside decoding and inference, and what each engine gains over plain Keras."""
