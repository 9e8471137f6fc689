"""Firing: one trigger becomes one event, when it is due or when somebody calls."""
