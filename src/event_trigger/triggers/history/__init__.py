"""Shows the schedules that a trigger had so far, and the changes with their authors."""
