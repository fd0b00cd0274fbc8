"""Mathematical answers: LaTeX, numbers, units, equality."""
