"""Schedules in a file that is kept in git: reads it, and writes it from what a service has."""
