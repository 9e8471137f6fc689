"""Deletes projects and erases users: what is theirs stops at once, and a job deletes rows."""
