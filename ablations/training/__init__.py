"""Train one arm, from data to a checkpoint."""
