"""What the twelve VQA adapters share: lmms-eval's tasks, golds, versions, native scores."""
