"""Calls from senders that cannot hold a token of ours: checked by their signature, then fired."""
