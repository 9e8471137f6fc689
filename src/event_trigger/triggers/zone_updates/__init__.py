"""Plans triggers again when newer time zone rules move their local times."""
