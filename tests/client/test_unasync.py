"""The client without asyncio is what `clients/python/unasync.py` writes."""

from pathlib import Path

import pytest

from clients.python.unasync import formatted, written


@pytest.mark.parametrize("path", written(), ids=lambda path: path.stem)
def test_a_module_is_as_it_would_be_written(path: Path) -> None:
    assert path.read_text() == formatted(path, written()[path])
