"""Model settings: definition, sources, LoRA adapters, and authors' recommendations.

The YAML files hold the authors' recommendations, each value with its source.
"""
