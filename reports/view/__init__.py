"""Pages to look at the items of a run, or of two runs side by side, one by one."""
