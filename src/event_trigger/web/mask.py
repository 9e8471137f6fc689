"""Stands in answers, logs and the audit log for what nobody may read."""

MASK = "********"
