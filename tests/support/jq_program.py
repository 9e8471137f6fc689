"""Stands in for the program `jq` on machines without it: as much of it as the documents use."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jq


def answers(arguments: Sequence[str], stdin: str) -> Iterator[str]:
    """Takes `-c` and `-r`, a filter and a file; gives the lines to print."""
    options = {letter for one in arguments if one.startswith("-") for letter in one[1:]}
    program, *files = [one for one in arguments if not one.startswith("-")]
    text = Path(files[0]).read_text() if files else stdin
    for value in jq.compile(program).input_text(text):
        if "r" in options and isinstance(value, str):
            yield value
        elif "c" in options:
            yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        else:
            yield json.dumps(value, ensure_ascii=False, indent=2)


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{line}\n" for line in answers(sys.argv[1:], "" if len(sys.argv) > 3 else sys.stdin.read())
    )
