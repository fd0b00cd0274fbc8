"""Building and filtering contrastive pairs."""
