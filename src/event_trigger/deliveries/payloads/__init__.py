"""Payloads on their way: each is stored once for its event, while a delivery needs it."""
