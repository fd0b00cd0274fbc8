"""Getting data: pulls from a hub, and imports of official releases."""
