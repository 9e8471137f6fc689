"""Deliveries by e-mail: what a mail says, how many a project may send, and what a reply means."""
