"""Pairs from trajectories of coding agents."""
