"""What is read: a run, a comparison or a study comes in; a page, LaTeX, CSV and figures leave.

Nothing statistical is computed here: every number comes from the records of the floors below.
"""
