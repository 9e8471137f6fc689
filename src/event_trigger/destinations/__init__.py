"""Where events go: the addresses that users name, their secrets, and which may be called."""
