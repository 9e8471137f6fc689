"""Fires triggers by call: one event for each call, however often the call is repeated."""
