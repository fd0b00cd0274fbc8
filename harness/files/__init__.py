"""Hashes, typed JSON, locks and temporary folders."""
