"""Previews of schedules: the next instants in UTC and local time; nothing is stored."""
