"""Identifies callers: users, sign-in, access tokens, API keys and scopes."""
