"""``harness selftest``: what serves, generates, trains and studies on this machine, and how fast.

A trial is one file's `run(name, folder, gpus)`, in a process of its own; `trials` has the table.
"""
