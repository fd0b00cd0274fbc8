"""Build and filter contrastive pairs."""
