"""Pages for reading the items of one or two runs, one by one."""
