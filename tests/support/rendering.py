"""Finds the processes that render templates, and gives them much to do."""

import psutil

SLOW = (
    "{% for i in (1..9999) %}{% if " + " and ".join(["1 == 1"] * 400) + " %}{% endif %}{% endfor %}"
)


def rendering_processes(of: int | None = None) -> list[psutil.Process]:
    """Lists those of a process, or of this one."""
    found = psutil.Process(of).children(recursive=True)
    return [one for one in found if one.is_running() and _renders(one)]


def _renders(process: psutil.Process) -> bool:
    try:
        return any(part.endswith("templates.child") for part in process.cmdline())
    except psutil.Error:
        return False
