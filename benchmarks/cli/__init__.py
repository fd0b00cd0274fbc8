"""The commands that measure: run, score, show, data, doctor, conformance."""
