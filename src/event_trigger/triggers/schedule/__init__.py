"""Computes when a trigger fires, without database, network or clock."""
