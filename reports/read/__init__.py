"""Reads runs, comparisons and studies for the pages."""
