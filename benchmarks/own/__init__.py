"""Benchmarks of the user's own: tables of questions, Python code, any task of lmms-eval."""
