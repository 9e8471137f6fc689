"""Previews a schedule: its next instants in UTC, in local time and in words; stores nothing."""
