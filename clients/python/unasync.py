"""Writes the client without asyncio from the one with it: `make client`."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src/event_trigger_client"
_WORDS = {
    r"AsyncGenerator\[(\w+), None\]": r"AsyncGenerator[\1, None, None]",
    r"async (def|for|with) ": r"\1 ",
    r"\bawait ": "",
    r"\bAsync(?=[A-Z])": "",
    r"\basynccontextmanager\b": "contextmanager",
    r"\b__a(enter|exit)__\b": r"__\1__",
    r"\ba(close|closing|iter_bytes|next|read)\b": r"\1",
    r"\basynchronous\b": "synchronous",
    r"\basyncio\b": "time",
    r"\bStopAsyncIteration\b": "StopIteration",
}
_HEAD = (
    '"""The client without asyncio. `unasync.py` writes it from `asynchronous`; change that."""\n'
)


def written() -> dict[Path, str]:
    """Gives the modules as they should be, before they are formatted."""
    modules = {}
    for source in sorted((PACKAGE / "asynchronous").glob("*.py")):
        text = source.read_text()
        for pattern, replacement in _WORDS.items():
            text = re.sub(pattern, replacement, text)
        target = PACKAGE / "synchronous" / source.name
        modules[target] = _HEAD if source.name == "__init__.py" else text
    return modules


def formatted(path: Path, text: str) -> str:
    """Sorts the imports and breaks the lines as if the text were at this path."""
    for command in (["check", "--fix-only", "--quiet", "--select", "I"], ["format", "--quiet"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--stdin-filename", path, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(formatted(path, text))
