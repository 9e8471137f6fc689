"""Verifies calls of hooks as their senders sign them: presets are data over a few mechanisms."""
