"""Measurements: ``python -m benchmarks.watch`` and ``python -m benchmarks.ways``, from the root of the repository."""
