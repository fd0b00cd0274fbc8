"""Pairs of similar images whose answers differ: embeddings, nearest neighbours, the builder."""
