"""Answers repeated calls with an `Idempotency-Key`; `keeping.py` tells how."""
