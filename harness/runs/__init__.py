"""A run of one model on one suite: its plan, manifest, engine, store and summary."""
