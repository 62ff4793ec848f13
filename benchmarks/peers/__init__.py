"""What people use today, side by side with this library in one run, each way in a process of its own.

``python -m benchmarks.peers -o RECORD`` measures, ``python -m benchmarks.performance_page RECORD`` makes the page.
"""
