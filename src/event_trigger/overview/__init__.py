"""Answers whether everything is all right, and how much happened when, from kept counts."""
