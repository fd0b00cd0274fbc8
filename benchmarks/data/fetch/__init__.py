"""Get data: pull from a hub, or import official releases."""
