"""Reads the dates of all-day events from iCalendar files (RFC 5545), which may be hostile."""
