"""Fires what is called: one event for each call, however often the call is repeated."""
