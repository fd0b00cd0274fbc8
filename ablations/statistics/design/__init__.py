"""Study design: power, detectable effects and the levels of interim looks."""
