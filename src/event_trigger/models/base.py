"""Holds the parts that all tables share: constraint names, column types, shards of owners."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase

LARGEST_ID = 2**63 - 1  # PostgreSQL's bigint
SHARDS = 64  # a constant, never a setting: each row stores its shard for good
EVERY_SHARD = f"shard IN ({', '.join(map(str, range(SHARDS)))})"  # most indexes begin with it


def shard_of(owner_id: int) -> int:
    """Returns the shard that holds all rows of a project, given its id."""
    return owner_id % SHARDS


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        datetime: DateTime(timezone=True),
        # json, not jsonb: a payload comes back as it was written, key order and numbers included
        dict[str, Any]: JSON(none_as_null=True),
    }
