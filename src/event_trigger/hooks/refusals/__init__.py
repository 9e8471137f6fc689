"""Keeps refused calls of hooks on record: counted in memory, stored every other second."""
