"""Reads this process's clock, in one place; due times are compared with the database's clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
