"""Triggers: schedules that fire by time, and hooks and calls that fire on request."""
