"""Statistics: from runs to a verdict."""
