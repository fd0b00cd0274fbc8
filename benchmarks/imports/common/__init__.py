"""Shared by several log formats: archives, workbooks, chat messages."""
