"""Studies with many arms and seeds: plan, jobs, analysis."""
