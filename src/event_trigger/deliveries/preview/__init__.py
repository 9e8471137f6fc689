"""Shows the request that a destination would get for an event; nothing is sent or stored."""
