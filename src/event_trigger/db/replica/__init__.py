"""Reads from a streaming replica while it is known to be at most 5 seconds behind the primary."""
