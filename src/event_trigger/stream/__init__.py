"""Streams events to clients as they are committed."""
