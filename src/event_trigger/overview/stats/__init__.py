"""Counts by time step: events, unfired instants, deliveries, attempts, and how long they took."""
