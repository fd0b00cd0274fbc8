"""The commands that train and compare."""
