"""What is taken elsewhere: tables, model cards, Every Eval Ever, experiment trackers."""
