"""Checks of an installation, and repairs of what breaks on CPU machines."""
