"""Answers to multiple-choice questions: letters, option texts."""
