"""Client for OpenAI-compatible servers: addresses and keys, requests, limits, responses."""
