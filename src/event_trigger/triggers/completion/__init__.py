"""Deletes completed triggers whose `on_completion` is `delete`."""
