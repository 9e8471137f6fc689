"""Renders templates of requests (Liquid), in processes of their own that have little to spend."""
