"""Manages destinations: the URLs that get events, their secrets, and the addresses allowed."""
