"""The client without asyncio. `unasync.py` writes it from `asynchronous`; change that."""
