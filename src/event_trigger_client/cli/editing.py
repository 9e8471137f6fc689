"""Changes a thing in the user's editor, and sends what differs."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from event_trigger_client.cli import asking
from event_trigger_client.cli.exits import ExitCode, Failed
from event_trigger_client.cli.run import Run
from event_trigger_client.cli.writing import as_yaml

_WRITABLE = ("key", "name", "payload", "tags", "destinations", "on_completion", "details")


def change(run: Run, collection: str, id_: int) -> Any:
    """Opens the editor, and patches only if nobody else has changed the thing since.

    What was written is not lost when it is refused, or cannot be sent.
    """
    if not sys.stdin.isatty():
        raise Failed("There is no terminal for an editor. Write --patch FILE.", ExitCode.USAGE)
    path = f"/{collection}/{id_}"
    answer = run.client.send("GET", path)
    before = answer.json()
    shown = {name: before[name] for name in _WRITABLE if name in before}
    file = _written(as_yaml(shown))
    _open_editor(file)
    try:
        patch = merge_patch(shown, asking.yaml_object(str(file)))
        if patch:
            headers = {"If-Match": answer.headers["ETag"]}
            before = run.client.request("PATCH", path, json=patch, headers=headers)
        else:
            run.say("Nothing was changed.")
    except Exception:
        run.say(f"What you wrote is kept in {file}.")
        raise
    file.unlink()
    return before


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the difference of two objects (RFC 7396): null removes a member."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            if inside := merge_patch(old, value):
                patch[name] = inside
        elif name not in before or old != value:
            patch[name] = value
    return patch


def _written(text: str) -> Path:
    from tempfile import NamedTemporaryFile  # noqa: PLC0415 - help and completion do without it

    with NamedTemporaryFile("w", suffix=".yaml", prefix="event-trigger-", delete=False) as file:
        file.write(text)
    return Path(file.name)


def _open_editor(file: Path) -> None:
    import subprocess  # noqa: PLC0415 - help and completion do without it

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        ended = subprocess.run([*shlex.split(editor), str(file)], check=False)  # noqa: S603
    except OSError as error:
        raise Failed(f"{editor} cannot be started: {error.strerror}. Set EDITOR.") from None
    if ended.returncode != 0:
        raise Failed(f"{editor} ended with {ended.returncode}. Nothing was changed.")
