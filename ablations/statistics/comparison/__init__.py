"""Runs compared: two checkpoints, any number of them, or two methods by their seeds."""
