"""PostgreSQL that the service runs itself, on a machine that has none."""
