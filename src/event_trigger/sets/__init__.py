"""Plans and applies sets: the triggers, destinations and calendars that one file owns."""
