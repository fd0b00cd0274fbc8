"""What is read: a run, a comparison or a study comes in; an HTML page, LaTeX, CSV and figures leave.

Nothing statistical is computed here: every number comes from the records of the floors below.
"""
