"""Database URLs are read as providers write them, with several hosts and with TLS."""

import pytest

from event_trigger.db.urls import asyncpg_url


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("postgres://u:p@host/name", "postgresql+asyncpg://u:p@host/name"),
        ("postgresql://u:p@host:5433/name", "postgresql+asyncpg://u:p@host:5433/name"),
        ("postgresql+psycopg://u@host/name", "postgresql+asyncpg://u@host/name"),
        ("postgresql+asyncpg://u@/n?host=/tmp&port=5432", None),
        ("postgres://u:p%40%2Fss@host/name", "postgresql+asyncpg://u:p%40%2Fss@host/name"),
        ("postgres://h/n?sslmode=require", "postgresql+asyncpg://h/n?ssl=require"),
        (
            "postgresql://h/n?sslmode=verify-full&channel_binding=require",
            "postgresql+asyncpg://h/n?ssl=verify-full",
        ),
        ("postgres://h/n?connect_timeout=10&application_name=x", "postgresql+asyncpg://h/n"),
        (
            "postgres://u:p@h1:5433,h2/n",
            "postgresql+asyncpg://u:p@/n?host=h1%3A5433&host=h2%3A5432",
        ),
        (
            "postgres://u:p%2Cx@h1,h2/n?target_session_attrs=read-write",
            "postgresql+asyncpg://u:p%2Cx@/n?host=h1%3A5432&host=h2%3A5432"
            "&target_session_attrs=read-write",
        ),
        (
            "postgres://u:p@h/n?sslrootcert=system",
            "postgresql+asyncpg://u:p@h/n?sslrootcert=system",
        ),
    ],
)
def test_a_url_becomes_one_for_asyncpg(given: str, understood: str | None) -> None:
    url = asyncpg_url(given)

    assert url == asyncpg_url(understood or given)
    assert url.drivername == "postgresql+asyncpg"
    assert understood is None or url.render_as_string(hide_password=False) == understood


@pytest.mark.parametrize(
    "given",
    [
        "mysql://user:hunter2@host/name",
        "sqlite:///hunter2",
        "hunter2",
        "postgresql://user:p@host:hunter2/name",
        "postgresql://host/name?options=hunter2",
    ],
)
def test_any_other_url_is_refused_in_words_that_do_not_repeat_it(given: str) -> None:
    with pytest.raises(ValueError, match="DATABASE_URL") as refused:
        asyncpg_url(given)

    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
