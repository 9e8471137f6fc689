"""Makes columns and indexes for the migrations in `alembic/versions`.

Old migrations call these functions too, so a change here must never change their SQL.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

INSTANT = sa.DateTime(timezone=True)

_INDEX_IS_VALID = sa.text("""
    SELECT indisvalid FROM pg_index
    WHERE indexrelid = to_regclass(quote_ident(current_schema()) || '.' || quote_ident(:name))
""")
_LIST_CHILD_TABLES = sa.text("""
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = CAST(:table AS regclass) ORDER BY relname
""")


def identity() -> sa.Column[int]:
    """Makes the column `id`, whose values only the database generates."""
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False)


def shard() -> sa.Column[int]:
    """Makes the column `shard`, which comes first in the key of every table of owned rows."""
    return sa.Column("shard", sa.SmallInteger, autoincrement=False, nullable=False)


def number(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger, autoincrement=False, server_default=default, nullable=False
    )


def instant(name: str) -> sa.Column[object]:
    return sa.Column(name, INSTANT, nullable=False)


def instant_now(name: str) -> sa.Column[object]:
    """Makes a time whose default is the start of the transaction."""
    return sa.Column(name, INSTANT, server_default=sa.func.now(), nullable=False)


def create_index_concurrently(
    name: str,
    table: str,
    columns: Sequence[str],
    *,
    where: str | None = None,
    unique: bool = False,
    partitioned: bool = False,
) -> None:
    """Builds an index without blocking writes; call it first in a migration of its own.

    1. Commit the migrations before this one: a concurrent build cannot run in a transaction.
    2. Drop the index if an earlier build failed, which leaves it invalid; keep a valid one.
    3. Build it. For a `partitioned` table, build one index per partition, and then the table's own,
       which takes those over: that blocks writes only for a moment.

    A failed build leaves the database at the revision before this one; the next start runs the
    migration again, and keeps the indexes that are valid.
    """
    condition = None if where is None else sa.text(where)
    context = op.get_context()
    built = [(name, table)]
    if partitioned:
        partitions = () if context.as_sql else _partitions_of(table)
        built = [(f"{name}_{one}", one) for one in partitions]
    with context.autocommit_block():
        for index, relation in built:
            if not context.as_sql and _is_built(index):
                continue
            op.create_index(
                index,
                relation,
                [*columns],
                unique=unique,
                postgresql_where=condition,
                postgresql_concurrently=True,
            )
    if partitioned:
        op.create_index(name, table, [*columns], unique=unique, postgresql_where=condition)


def drop_index_concurrently(name: str, table: str) -> None:
    """Drops an index without blocking reads or writes; commits the migrations before this one."""
    with op.get_context().autocommit_block():
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)


def _partitions_of(table: str) -> Sequence[str]:
    return op.get_bind().scalars(_LIST_CHILD_TABLES, {"table": table}).all()


def _is_built(name: str) -> bool:
    """Tells whether the index is there and valid; drops an invalid one."""
    is_valid: bool | None = op.get_bind().scalar(_INDEX_IS_VALID, {"name": name})
    if is_valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    return is_valid is True
