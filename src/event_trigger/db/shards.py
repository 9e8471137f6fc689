"""Identifies rows by id and owner, so that every statement can name the shard that holds them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import TextClause

from event_trigger.models import shard_of

# execution option of a statement that reads every shard; its value is the reason
ACROSS_SHARDS = "across_shards"
ONE_SERVER = "one server"  # the reason of statements that a cluster never gets


class OwnedId(NamedTuple):
    """A row's id and its owner's, from which the shard follows."""

    owner_id: int
    id: int

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)


class Sharded(Protocol):
    @property
    def shard(self) -> int: ...


One = TypeVar("One", bound=Sharded)


def by_shard(several: Iterable[One]) -> dict[int, list[One]]:
    """Groups rows, or what belongs to rows, by their shard; keeps their order."""
    groups: defaultdict[int, list[One]] = defaultdict(list)
    for one in several:
        groups[one.shard].append(one)
    return groups


class ShardedStatement:
    """A statement on rows of one shard, and the same on rows of several shards of one server.

    The first has the parameter `:shard`, which a cluster needs; the second has `:shards`, the shard
    of each row.
    """

    def __init__(self, one: TextClause, several: TextClause) -> None:
        self._one = one
        self._several = several.execution_options(**{ACROSS_SHARDS: ONE_SERVER})

    def on(self, shards: Sequence[int]) -> tuple[TextClause, dict[str, Any]]:
        """Returns the statement for rows of these shards, and its parameters of shards."""
        is_one = shards.count(shards[0]) == len(shards)
        return self._one if is_one else self._several, {"shard": shards[0], "shards": shards}
