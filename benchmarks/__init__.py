"""Measures the server beside a plain Node relay: `python -m benchmarks`."""
