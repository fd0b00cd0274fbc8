"""What is found by drawing at random: the hierarchical bootstrap, and simulated studies."""
