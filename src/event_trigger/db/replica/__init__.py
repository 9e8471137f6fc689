"""Reads from a streaming replica, while it is known to be only a moment behind the primary."""
