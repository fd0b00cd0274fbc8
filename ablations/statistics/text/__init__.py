"""What is said of differences: verdicts as sentences, numbers as text."""
