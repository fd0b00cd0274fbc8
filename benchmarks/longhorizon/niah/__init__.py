"""NIAH: needles in a haystack, in RULER's form."""
