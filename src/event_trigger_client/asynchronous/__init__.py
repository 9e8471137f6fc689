"""The client of asyncio, from which `unasync.py` writes the synchronous one."""
