"""Prints what a command finds on stdout, in the format that was asked for."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.writing import as_cell, as_json, as_yaml

Row = Mapping[str, Any]

_UNLIMITED = 10_000  # columns, where no terminal breaks lines
_STYLES = {
    **dict.fromkeys(("active", "delivered", "enabled", "closed", "ok", "fired", "alive"), "green"),
    **dict.fromkeys(("paused", "retrying", "attention", "open", "recovering", "late"), "yellow"),
    **dict.fromkeys(("exhausted", "disabled", "failed", "missed", "unknown", "silent"), "red"),
}


class Column(NamedTuple):
    """A column of a table: its title, and what it shows of a row."""

    title: str
    value: Callable[[Row], Any]


def fields(*names: str) -> list[Column]:
    """Makes columns of fields: `a|b` is the first that is not null, `a.b` what is inside.

    A title may be in front: `trigger:trigger_key|trigger_id`.
    """
    return [_column(name) for name in names]


def _column(name: str) -> Column:
    title, _, expression = name.rpartition(":")
    return Column(title or expression.split("|")[0], lambda row: first_of(row, expression))


def first_of(row: Row, name: str) -> Any:
    for one in name.split("|"):
        found: Any = row
        for part in one.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is not None:
            return found
    return None


class Output:
    """Writes to stdout; `named_by` are the fields that `-o name` prints, the first that is set."""

    def __init__(self, format_: Format) -> None:
        self.format = format_

    def list(self, rows: Iterable[Row], columns: Sequence[Column], *, named_by: str) -> None:
        """Prints rows as they come, but a table, and YAML, when all are there."""
        if self.format is Format.TABLE:
            self._table(rows, columns)
        elif self.format is Format.YAML:
            write(as_yaml([dict(row) for row in rows]))
        elif self.format is Format.JSON:
            _json_array(rows)
        else:
            for row in rows:
                self.next(row, columns, named_by=named_by)

    def next(self, row: Row, columns: Sequence[Column], *, named_by: str) -> None:
        """Prints one row of a list that has no end."""
        if self.format is Format.NAME:
            write_line(as_cell(first_of(row, named_by)))
        elif self.format is Format.TABLE:
            write_line("  ".join(as_cell(one.value(row)) or "-" for one in columns))
        elif self.format is Format.YAML:
            write(f"---\n{as_yaml(dict(row))}")
        else:
            write_line(as_json(row))

    def one(
        self,
        row: Row,
        columns: Sequence[Column],
        lists: Sequence[tuple[Iterable[Row], Sequence[Column]]] = (),
        *,
        named_by: str,
    ) -> None:
        """Prints one thing; a table has a line for each field, and then the lists inside it."""
        if self.format is Format.TABLE:
            lines = [(one.title, one.value(row)) for one in columns]
            parts: list[tuple[list[Any], list[str]]] = [
                ([line for line in lines if line[1] not in (None, [], {})], [])
            ]
            parts += [(_cells(rows, shown), _titles(shown)) for rows, shown in lists]
            for number, (cells, titles) in enumerate(part for part in parts if part[0]):
                write("\n" if number else "")
                self._print(cells, titles)
        elif self.format is Format.JSON:
            write_line(as_json(row, indent=2))
        elif self.format is Format.YAML:
            write(as_yaml(dict(row)))
        else:
            self.next(row, columns, named_by=named_by)

    def _table(self, rows: Iterable[Row], columns: Sequence[Column]) -> None:
        if cells := _cells(rows, columns):
            self._print(cells, _titles(columns))
        else:
            sys.stderr.write("There are none.\n")

    def _print(self, rows: Sequence[Sequence[Any]], titles: Sequence[str]) -> None:
        from rich.table import Table  # noqa: PLC0415 - 60 ms, which help need not spend
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, show_header=bool(titles), padding=(0, 2, 0, 0))
        for title in titles or [""] * len(rows[0]):
            table.add_column(title, overflow="fold")
        for row in rows:
            texts = [as_cell(one) for one in row]
            table.add_row(*[Text(one, _STYLES.get(one, "")) for one in texts])
        print_rich(table)


def _cells(rows: Iterable[Row], columns: Sequence[Column]) -> list[Sequence[Any]]:
    return [[one.value(row) for one in columns] for row in rows]


def _titles(columns: Sequence[Column]) -> list[str]:
    return [one.title.upper() for one in columns]


def print_rich(table: Any) -> None:
    """Prints a table on a terminal in its width and colours, elsewhere as wide as it is."""
    from rich.console import Console  # noqa: PLC0415

    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(table)
        return
    console = Console(width=_UNLIMITED, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _json_array(rows: Iterable[Row]) -> None:
    is_first = True
    for row in rows:
        text = as_json(row, indent=2).replace("\n", "\n  ")
        write(f"{'[' if is_first else ','}\n  {text}")
        is_first = False
    write_line("[]" if is_first else "\n]")


def write_line(text: str) -> None:
    write(f"{text}\n")


def write(text: str) -> None:
    """Writes at once, since another program may be waiting for the line."""
    sys.stdout.write(text)
    sys.stdout.flush()
