"""Previews: when a schedule will fire, on which wall clock, in words; nothing is stored."""
