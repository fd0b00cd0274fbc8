"""Monte Carlo: the hierarchical bootstrap and simulated studies."""
