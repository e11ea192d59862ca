"""Benchmarks: this server and its camera beside plain ones. Run `python -m benchmarks`."""
