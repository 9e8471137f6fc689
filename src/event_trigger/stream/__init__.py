"""The log as it happens: server-sent events."""
