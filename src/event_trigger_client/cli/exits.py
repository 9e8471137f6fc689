"""The exit codes of commands, and how errors become one, with words on stderr."""

import sys
from enum import IntEnum
from types import ModuleType
from typing import Any


class ExitCode(IntEnum):
    """The exit codes of commands; scripts rely on these numbers."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    SIGN_IN = 4
    REFUSED = 5
    PARTLY_DONE = 6
    UNREACHABLE = 7
    NOT_OK = 8
    HAS_CHANGES = 10
    INTERRUPTED = 130


class Failed(Exception):
    """Ends a command with a code, after a sentence on stderr."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


_BY_STATUS = {
    401: ExitCode.SIGN_IN,
    403: ExitCode.SIGN_IN,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.REFUSED,
    412: ExitCode.REFUSED,
    413: ExitCode.REFUSED,
    422: ExitCode.REFUSED,
    502: ExitCode.UNREACHABLE,
    504: ExitCode.UNREACHABLE,
}
_SIGN_IN = "Sign in with: event-trigger login"


def exit_code_of(error: Exception) -> ExitCode | None:
    """Returns the code of an error that is told in words, or None for a fault of this program."""
    if isinstance(error, Failed):
        return error.code
    errors = _errors()
    if errors is None or not isinstance(error, errors.EventTriggerError):
        return None
    if isinstance(error, errors.Unreachable):
        return ExitCode.UNREACHABLE
    if isinstance(error, errors.Problem):
        return _BY_STATUS.get(error.status, ExitCode.FAILED)
    return ExitCode.FAILED


def words_of(error: Exception) -> list[str]:
    """Writes what happened, a line for each invalid place, and what to do about it."""
    errors = _errors()
    if errors is None or not isinstance(error, errors.Problem):
        return [str(error) or type(error).__name__]
    told = error.title if error.errors else error.detail  # that repeats the first place
    lines = [told or error.title or f"The service answered {error.status}."]
    lines += [f"  {one.pointer or one.parameter or 'here'}: {one.detail}" for one in error.errors]
    if error.status == 401:
        lines.append(_SIGN_IN)
    if error.status >= 500 and error.request_id:
        lines.append(f"The service's log has it under the request id {error.request_id}.")
    return lines


def _errors() -> Any:
    """Returns the module of exceptions if it is loaded; else none of them was raised."""
    loaded: ModuleType | None = sys.modules.get("event_trigger_client.errors")
    return loaded
