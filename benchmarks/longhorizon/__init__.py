"""The long-horizon benchmarks: long texts, programs and repositories."""
