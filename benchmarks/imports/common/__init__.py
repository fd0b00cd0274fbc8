"""What several formats of logs share: archives, chat messages, tasks that belong together."""
