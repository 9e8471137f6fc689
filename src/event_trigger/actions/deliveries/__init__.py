"""Sends many deliveries again, or cancels them."""
