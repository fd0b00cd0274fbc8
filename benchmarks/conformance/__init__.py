"""Our scorers against official graders' verdicts and against hand-made cases."""
