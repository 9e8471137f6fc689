"""Writes zone files, in folders with a version, for `PYTHONTZPATH` to point to."""

import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

_HEADER = struct.Struct(">5s15x6l")


def zone_file(offset: timedelta, *changes: tuple[datetime, timedelta]) -> bytes:
    """Gives a TZif file (RFC 9636): an offset from UTC, and others from given instants on."""
    offsets = [offset, *(later for _, later in changes)]
    types = b"".join(struct.pack(">lBB", one // timedelta(seconds=1), 0, 0) for one in offsets)
    times = b"".join(struct.pack(">q", round(at.timestamp())) for at, _ in changes)
    counts = (0, 0, 0, len(changes), len(offsets), 4)
    first_part = _HEADER.pack(b"TZif2", 0, 0, 0, 0, 1, 4) + types[:6] + b"LMT\0"
    indices = bytes(range(1, len(offsets)))
    second_part = _HEADER.pack(b"TZif2", *counts) + times + indices + types + b"LMT\0"
    return first_part + second_part + b"\n\n"


def make_zones(folder: Path, version: str, zones: Mapping[str, bytes]) -> dict[str, str]:
    """Writes a folder of zones, and gives the setting that makes a process read it."""
    folder.mkdir()
    (folder / "tzdata.zi").write_text(f"# version {version}\n")
    for key, data in zones.items():
        file = folder / key
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
    return {"PYTHONTZPATH": str(folder)}
