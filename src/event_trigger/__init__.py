"""Event Trigger Platform: stores triggers, and turns each firing into an event, exactly once."""

__version__ = "0.1.0"
