"""An arm for another trainer."""
