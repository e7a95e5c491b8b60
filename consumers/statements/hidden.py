"""What no statement may rest on: items and tags the user muted, and tags they refused."""

from typing import NamedTuple

from consumers.statements.clean_text import tag_key
from schemas.messages import Item
from schemas.state import UserState


class Hidden(NamedTuple):
    """Names by their `tag_key`, and item ids."""

    names: frozenset[str]
    item_ids: frozenset[str]

    @classmethod
    def of(cls, state: UserState) -> "Hidden":
        """What this user hides."""
        names = {tag_key(tag) for tag in state.muted_tags}
        names |= {tag_key(topic) for topic, stance in state.edits.items() if stance == "not_interested"}
        return cls(frozenset(names), frozenset(state.muted_items))

    def hides(self, item: Item) -> bool:
        """Whether the item, or a tag of it, is hidden."""
        if item.item_id in self.item_ids:
            return True
        return bool(self.names) and not self.names.isdisjoint([tag.casefold() for tag in item.tags])
