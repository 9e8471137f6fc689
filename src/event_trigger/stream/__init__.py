"""Streams events as they are committed (server-sent events)."""
