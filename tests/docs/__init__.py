"""Tests of the examples and of what the documentation says."""
