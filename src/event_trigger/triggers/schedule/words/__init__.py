"""Describes schedules in words, so that people see at once what they wrote."""
