"""Find and read the data sets on this machine."""
