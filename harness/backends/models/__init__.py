"""A model's settings: what they are, where they come from, its adapter, and what authors recommend.

The YAML files hold the authors' recommendations, each value with its source.
"""
