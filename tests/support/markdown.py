"""Reads the project's documents: their headings, links, code blocks and commands."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r" *```")
_COMMENT = re.compile(r" *<!-- (.+) -->")
_HEADING = re.compile(r"#+ (.+)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NOT_RUN = re.compile(r"not run: (.+)")
_FILE = re.compile(r"file: ([\w.]+)")
_POSTED = re.compile(r"api localhost:8000(/\w+) -d '([^']*)'.*", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; `note` is the HTML comment in the line before it, or empty."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    @property
    def not_run(self) -> str | None:
        """The reason why its commands cannot be run here, or None."""
        found = _NOT_RUN.fullmatch(self.note)
        return None if found is None else found[1]

    @property
    def file(self) -> str | None:
        """The name under which the reader is told to save it, or None."""
        found = _FILE.fullmatch(self.note)
        return None if found is None else found[1]


@dataclass(frozen=True)
class Step:
    """A command, and the lines that the document shows as its output."""

    command: str
    shown: tuple[str, ...]


def pages() -> list[Path]:
    """Every document that the project ships."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def prose_of(page: Path) -> str:
    """The document without its blocks of code; each of their lines is left empty."""
    lines = page.read_text().splitlines()
    inside = {line for block in _spans(lines) for line in range(block[0], block[1] + 1)}
    return "\n".join("" if number in inside else line for number, line in enumerate(lines))


def blocks_of(page: Path) -> list[Block]:
    lines = page.read_text().splitlines()
    found = []
    for first, last in _spans(lines):
        comment = _COMMENT.fullmatch(lines[first - 1]) if first else None
        found.append(
            Block(
                page,
                first + 1,
                lines[first].strip().removeprefix("```"),
                dedent("\n".join(lines[first + 1 : last])),
                "" if comment is None else comment[1],
            )
        )
    return found


def steps_of(block: Block) -> list[Step]:
    """Commands follow `$ `, their further lines `> `; the rest is output."""
    steps: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], ()))
        elif line.startswith("> ") and steps and not steps[-1].shown:
            steps[-1] = Step(f"{steps[-1].command}\n{line[2:]}", ())
        elif steps:
            steps[-1] = Step(steps[-1].command, (*steps[-1].shown, line))
        else:
            raise ValueError(f"{block.page}:{block.line} shows output before a command")
    return steps


def posted_in(page: Path, path: str, variables: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The bodies that a page posts to a path; `variables` has texts for those of its shell."""
    for block in blocks_of(page):
        for step in steps_of(block) if block.language == "console" else ():
            command = step.command
            for name, value in variables.items():
                command = command.replace(name, value)
            if (found := _POSTED.fullmatch(command)) is not None and found[1] == path:
                yield json.loads(found[2])


def links_of(page: Path) -> list[str]:
    """The targets of its links to files and headings, not those to other sites."""
    return [one for one in _LINK.findall(prose_of(page)) if not re.match(r"[a-z]+:", one)]


def anchors_of(page: Path) -> set[str]:
    """The anchors of its headings, as a forge makes them."""
    headings = (_HEADING.fullmatch(line) for line in prose_of(page).splitlines())
    names = sorted(_anchor(one[1]) for one in headings if one is not None)
    return {
        name if number == 0 else f"{name}-{number}"
        for name, same in groupby(names)
        for number, _ in enumerate(same)
    }


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.lower())
    return kept.strip().replace(" ", "-")


def _spans(lines: list[str]) -> Iterator[tuple[int, int]]:
    """The first and the last line of each fenced block."""
    fences = [number for number, line in enumerate(lines) if _FENCE.match(line)]
    yield from zip(fences[::2], fences[1::2], strict=True)
