"""Pings of heartbeats with a signal behind the token of their hook."""
