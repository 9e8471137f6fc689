"""Keys for machines, which may be limited to some triggers."""
