"""One arm, from data to a checkpoint."""
