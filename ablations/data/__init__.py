"""What arms train on: pairs and RL items, from a file, the hub or the micro world."""
