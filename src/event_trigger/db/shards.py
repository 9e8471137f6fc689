"""Identifies rows by id and owner, so that every statement can name the shard that holds them."""

from dataclasses import dataclass

from event_trigger.models import shard_of

# execution option of a statement that reads every shard; its value is the reason
ACROSS_SHARDS = "across_shards"


@dataclass(frozen=True, slots=True)
class OwnedId:
    """A row's id and its owner's, from which the shard follows."""

    owner_id: int
    id: int

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)
