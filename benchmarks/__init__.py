"""Benchmarks: every workload beside its peers in one run, printed as ratios. Run ``python -m benchmarks``."""
