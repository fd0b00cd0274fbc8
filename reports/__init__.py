"""Pages, tables and figures of a run, a comparison or a study: HTML, LaTeX, CSV, SVG.

Nothing statistical is computed here: every number comes from the records of the layers below.
"""
