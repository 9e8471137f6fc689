"""What a log may say of a path: whoever reads the token of a hook there could fire with it."""

import re

_HOOK = re.compile(r"(/hooks/).+", re.DOTALL | re.IGNORECASE)


def loggable(path: str) -> str:
    """The path, but for what follows `/hooks/`, wherever in it that is."""
    return _HOOK.sub(r"\1…", path)
