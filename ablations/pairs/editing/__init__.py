"""Make pairs by editing an image so that the answer changes: proposal, editor, checks."""
