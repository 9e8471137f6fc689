"""Reads and writes users, logins, refresh tokens and API keys in the database."""
