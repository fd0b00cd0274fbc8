"""An arm for another trainer."""

ENVIRONMENT = "harness"
"""SkyRL's ``env_class`` of a single-turn item, which `ablations.export.environment` registers."""
