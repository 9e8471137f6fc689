"""Fires what is due: each due instant becomes one event, whichever replica is first."""
