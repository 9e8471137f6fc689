"""Fires many calls in one request and one commit; one call that is refused spoils no other."""
