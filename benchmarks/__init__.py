"""Parts of benchmarks/bench.py."""
