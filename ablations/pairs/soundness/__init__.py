"""Unsound sets of contrastive pairs: shortcuts, repeats and contamination."""
