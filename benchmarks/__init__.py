"""Benchmarks: this server beside a plain Node `ws` relay. Run `python -m benchmarks`."""
