"""Stores the payload of an event once for all its deliveries, while one of them needs it."""
