"""``harness pairs``."""
