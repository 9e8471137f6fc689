"""Spreads the tables over the servers of a Citus cluster, when one server is outgrown."""
