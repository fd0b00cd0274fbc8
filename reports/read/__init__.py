"""Read runs, comparisons and studies for pages."""
