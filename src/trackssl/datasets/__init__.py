"""Readers of the benchmarks' real formats, and their downloads."""
