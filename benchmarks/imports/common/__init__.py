"""Shared by several log formats: archives, chat messages, merging of tasks."""
