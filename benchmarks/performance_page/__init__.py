"""docs/performance.md and its pictures from records: ``python -m benchmarks.performance_page RECORD...``."""
