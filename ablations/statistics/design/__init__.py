"""What a planned study can detect, and the levels of its looks."""
