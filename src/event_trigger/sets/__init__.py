"""Plans and applies sets: the triggers and destinations that one file owns."""
