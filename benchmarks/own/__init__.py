"""Custom benchmarks: tables of questions, Python code, any task of lmms-eval."""
