"""Keeps the log of events: reading, counting, exporting, archiving and purging it."""
