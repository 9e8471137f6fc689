"""Adapts to a Citus cluster: the place of each table, and statements that differ there."""
