"""What is compared: arms, pairs, objective, trainer, study, statistics."""
