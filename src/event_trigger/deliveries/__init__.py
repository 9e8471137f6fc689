"""Delivers events to webhooks: at least once, signed, and fairly shared among destinations."""
