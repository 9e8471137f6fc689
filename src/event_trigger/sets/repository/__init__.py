"""Reads and writes sets, and the triggers and destinations that they own."""
