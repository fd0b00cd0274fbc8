"""What makes a set of contrastive pairs unsound: shortcuts, repeats and contamination."""
