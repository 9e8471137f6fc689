"""Checks new passwords, and hashes and verifies them."""
