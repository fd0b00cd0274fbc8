"""The data sets on this machine: where they are, and how they are read."""
