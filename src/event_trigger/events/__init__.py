"""The log of firings and how long it is kept."""
