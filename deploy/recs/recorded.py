"""A data folder as recommenders see it: events as columns, and what the catalogue says of each item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from deploy.recs.event_columns import in_order
from deploy.recs.interactions import Interactions
from deploy.recs.kept_columns import read_columns
from producers.dataset import Dataset, open_dataset
from schemas.errors import ConfigError
from schemas.messages import Item, UserAttributes

DAY_MS = 86_400_000
BULK_SHARE = 0.5


@dataclass(frozen=True)
class RecordedData:
    """Events, and of each item its text ("" where there is none) and tags; both in the order of `interactions.item_ids`.

    `items` and `attributes` are the messages behind them, by id.
    """

    name: str
    source: str
    interactions: Interactions
    texts: Sequence[str]
    tags: Sequence[Sequence[str]]
    has_times: bool
    bad_rows: int = 0
    items: Mapping[str, Item] = field(default_factory=dict)
    attributes: Mapping[str, UserAttributes] = field(default_factory=dict)

    @property
    def entered_in_bulk(self) -> bool:
        """More than half of the users with several events have all of theirs within one day: the pace is not natural."""
        bounds, times = self.interactions.bounds(), self.interactions.times_ms
        spans = [times[end - 1] - times[begin] for begin, end in pairwise(bounds) if end - begin > 1]
        return bool(spans) and sum(span < DAY_MS for span in spans) > BULK_SHARE * len(spans)

    @property
    def repeat_share(self) -> float:
        """The share of events whose user met the item before."""
        pairs = self.interactions.users.astype(np.int64) * len(self.interactions.item_ids) + self.interactions.items
        return 1 - len(np.unique(pairs)) / len(pairs)


def read_folder(folder: Path, mapping: str | None = None, keep_in: Path | None = None) -> RecordedData:
    """Read a folder in the documented layout (docs/data-layout.md); its events are kept in `keep_in` for the next time.

    Raises:
        ConfigError: it is another, or holds no event with an item; the message says what is expected.
    """
    return from_dataset(open_dataset(folder, mapping), keep_in)


def from_dataset(dataset: Dataset, keep_in: Path | None = None) -> RecordedData:
    """The events with an item, and the catalogue; items that only events know have no text."""
    catalogue = list(dataset.items())
    events = read_columns(dataset, keep_in)
    if not len(events):
        reason = f" ({dataset.bad_rows.first[0]})" if dataset.bad_rows.first else ""
        raise ConfigError(
            f"{dataset.events_file.path} has no event with an item that can be used{reason}: there is nothing to recommend"
        )
    by_id = {item.item_id: item for item in catalogue}
    item_ids = sorted(by_id.keys() | set(events.item_ids))
    return RecordedData(
        name=dataset.folder.resolve().name,
        source=dataset.mapping_source,
        interactions=in_order(events, item_ids),
        texts=[_text(by_id.get(item_id)) for item_id in item_ids],
        tags=[_tags(by_id.get(item_id)) for item_id in item_ids],
        has_times=dataset.has_times and events.first_ms < events.last_ms,
        items=by_id,
        attributes={declared.user_id: declared for declared in dataset.attributes(events.first_ms)},
        bad_rows=len(dataset.bad_rows),
    )


def _text(item: Item | None) -> str:
    """Title and description; a title that is nothing but the id says nothing."""
    if item is None:
        return ""
    return "\n".join(part for part in (item.title, item.description) if part not in ("", item.item_id))


def _tags(item: Item | None) -> list[str]:
    """Tags, and attributes that are words: a number such as a price is no likeness."""
    if item is None:
        return []
    named = [f"{name}: {value}" for name, value in item.attributes.items() if isinstance(value, str)]
    return [*item.tags, *named]
