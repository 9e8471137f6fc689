"""Checks that each planned instant has one event, or a reason on record why it has none."""
