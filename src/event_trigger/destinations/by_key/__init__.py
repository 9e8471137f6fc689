"""Destinations named by the keys of their users."""
