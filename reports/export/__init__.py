"""Exports: tables, model cards, Every Eval Ever, experiment trackers."""
