"""The figures of docs/native-engine.md from records.

``python -m benchmarks.native_engine_page.measure -o RECORD`` measures; ``python -m benchmarks.native_engine_page
RECORD`` writes the page's section and its picture.
"""
