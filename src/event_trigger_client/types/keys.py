"""Types of answers about API keys."""

from typing import TypedDict


class _ApiKeySometimes(TypedDict, total=False):
    warnings: list[str]
    key: str | None


class ApiKey(_ApiKeySometimes):
    """An API key; `key` is in the answer that makes it, and nowhere else."""

    id: int
    user_id: int
    project_id: int
    name: str
    prefix: str
    scopes: list[str]
    trigger_ids: list[int] | None
    expires_at: str | None
    last_used_at: str | None
    created_at: str
