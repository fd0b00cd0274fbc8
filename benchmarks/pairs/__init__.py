"""Contrastive pairs: their file format and the selection prompt."""
