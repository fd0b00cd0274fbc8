"""Many arms and seeds: plan, jobs, analysis."""
