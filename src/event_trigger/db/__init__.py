"""Connects the service to PostgreSQL: engine, embedded server, notifications, migrations."""
