"""Compare runs: two checkpoints, any number of them, or two methods with several seeds."""
