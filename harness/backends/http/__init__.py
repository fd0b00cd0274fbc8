"""Any OpenAI-compatible server: addresses and keys, requests, limits, and reading its answers."""
