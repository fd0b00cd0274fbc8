"""Release decisions: the policy, the rule that judges limits, and its simulated error rates."""
