"""Runs a PostgreSQL server inside the service, on a machine that has none."""
