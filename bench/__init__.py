"""Benchmarks against the floor and against peers; `make bench` runs them, docs/benchmarks.md says what they measure."""
