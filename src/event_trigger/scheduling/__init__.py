"""Fires due triggers: each due instant becomes one event, whichever replica claims it first."""
