"""Accounting: each planned instant has one event, or a reason why not, and this can prove it."""
