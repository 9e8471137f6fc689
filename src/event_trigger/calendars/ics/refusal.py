"""The error of an iCalendar file, which says what to change."""


class BadFile(ValueError):
    """Raised with a sentence for users; `line` is the place in the file, counted from 1."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
