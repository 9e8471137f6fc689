"""API keys, made and ended by people who have signed in, used by machines."""
