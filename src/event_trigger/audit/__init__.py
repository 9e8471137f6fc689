"""The audit log: each change, its actor, time, address and difference."""
