"""SWE-bench's parts: tasks, the agent's episode, where it runs, how a patch is graded."""
