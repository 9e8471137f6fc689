"""Sends e-mail through the operator's mail server."""
