"""The micro world as files in the schemas of the real benchmarks."""
