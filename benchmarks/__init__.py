"""Benchmarks of the source checkout: pytest-benchmark suites, the run with peers, the page made of its record."""
