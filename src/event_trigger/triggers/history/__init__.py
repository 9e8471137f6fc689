"""Shows the schedules that a trigger had so far, and who changed what."""
