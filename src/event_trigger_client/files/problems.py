"""Says what is wrong with a file, and where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Path = tuple[str | int, ...]  # of a value in the file, as in ("triggers", "nightly", "cron")


class Place(NamedTuple):
    """A line and a column of a text, both from 1."""

    line: int
    column: int


class Mistake(NamedTuple):
    """One thing that is wrong with a file; `place` is None if it is about the file as a whole."""

    place: Place | None
    detail: str


class BadFile(Exception):
    """A file that cannot be read, with all mistakes that were found in it, in their order.

    `name` is the file's own; it is empty until the file that has the text is known.
    """

    def __init__(self, mistakes: Iterable[Mistake], name: str = "") -> None:
        self.mistakes = sorted(set(mistakes), key=lambda one: (one.place or (0, 0), one.detail))
        self.name = name
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Writes each mistake as compilers do, so that editors find its place."""
        return [told(self.name, *one) for one in self.mistakes]


def told(name: str, place: Place | None, detail: str) -> str:
    where = [name or "the file", *([] if place is None else map(str, place))]
    return f"{':'.join(where)}: {detail}"


@dataclass(frozen=True)
class Places:
    """Where the values of a file are written: in a map, the place of the key."""

    by_path: Mapping[Path, Place]

    def of(self, path: Path) -> Place | None:
        """Returns the place of a value or, if it is not written, of what it would be in."""
        for length in range(len(path), -1, -1):
            if (found := self.by_path.get(path[:length])) is not None:
                return found
        return None

    def mistake(self, path: Path, detail: str) -> Mistake:
        return Mistake(self.of(path), detail)
