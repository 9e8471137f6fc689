"""Names rows by their owner, so that a statement says which of the 64 shards holds them."""

from dataclasses import dataclass

from event_trigger.models import shard_of

# the execution option with which a statement says why it may look into every shard
ACROSS_SHARDS = "across_shards"


@dataclass(frozen=True, slots=True)
class OwnedId:
    """The id of a row together with its owner, which says in which shard it lives."""

    owner_id: int
    id: int

    @property
    def shard(self) -> int:
        return shard_of(self.owner_id)
