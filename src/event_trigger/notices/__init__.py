"""Tells listening destinations of changes: stores changes, and makes notices of them."""
