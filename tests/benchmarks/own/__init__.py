"""Tests of benchmarks of the user's own."""
