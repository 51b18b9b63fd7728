"""Benchmarks, each printing its figure with the goal."""
