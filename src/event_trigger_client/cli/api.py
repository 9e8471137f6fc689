"""The command that calls any path of the API."""

from typing import Annotated, Any

from typer import Argument, Option

from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.formats import Format
from event_trigger_client.cli.output import write, write_line
from event_trigger_client.cli.run import Run, check_header
from event_trigger_client.cli.writing import as_json, as_yaml, harmless

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def api(
    run: Run,
    method: Annotated[str, Argument(help="GET, POST, PUT, PATCH, DELETE, …")],
    path: Annotated[str, Argument(help="Such as /triggers/7.")],
    data: Annotated[
        str | None, Option("--data", "-d", help="A JSON object, @FILE, or - for standard input.")
    ] = None,
    query: Annotated[list[str] | None, Option("--query", "-q", help="NAME=VALUE.")] = None,
    header: Annotated[list[str] | None, Option("--header", "-H", help="'NAME: VALUE'.")] = None,
    include: Annotated[bool, Option("--include", "-i", help="Print the headers, too.")] = False,
) -> None:
    """Call any path of the API, and print the answer as it is.

    For example: event-trigger api GET /triggers -q status=paused
    """
    verb = method.upper()
    if verb not in _METHODS or not path.startswith("/") or path.startswith("//"):
        raise Failed("Write a method, and a path that begins with /.", ExitCode.USAGE)
    client = run.any_client if run.target.token is None else run.client
    answer = client.send(
        verb,
        path,
        json=None if data is None else asking.json_object(data, "--data"),
        params=_many(query, "=", "--query"),
        headers={
            check_header(name, "--header"): check_header(value[-1], "--header")
            for name, value in _many(header, ":", "--header").items()
        },
    )
    if include:
        write_line(f"{answer.status_code} {answer.reason_phrase}")
        for name, value in answer.headers.items():
            write_line(harmless(f"{name}: {value}"))
        write_line("")
    _print(run.output.format, answer)


def _print(format_: Format, answer: Any) -> None:
    """Prints JSON as JSON, with -o yaml as YAML, and all else as text."""
    if not answer.content:
        return
    if "json" not in answer.headers.get("content-type", ""):
        write(answer.text if answer.text.endswith("\n") else f"{answer.text}\n")
    elif format_ is Format.YAML:
        write(as_yaml(answer.json()))
    else:
        write_line(as_json(answer.json(), indent=None if format_ is Format.NDJSON else 2))


def _many(given: list[str] | None, separator: str, flag: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in given or ():
        name, is_there, value = one.partition(separator)
        if not is_there:
            raise Failed(f"{flag} {one}: write NAME{separator}VALUE.", ExitCode.USAGE)
        found.setdefault(name.strip(), []).append(value.strip())
    return found
