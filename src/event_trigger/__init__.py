"""Event Trigger Platform: say when, or who may; every firing is an event, exactly once."""

__version__ = "0.1.0"
