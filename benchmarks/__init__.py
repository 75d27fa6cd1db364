"""Measurements: ``python -m benchmarks.watch``, ``.ways`` and ``.luigi_graphs``, from the root of the repository."""
