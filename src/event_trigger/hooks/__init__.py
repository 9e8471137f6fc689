"""Fires triggers for senders that cannot hold an API key: their signature is verified instead."""
