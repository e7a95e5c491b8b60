"""A data folder as recommenders see it: events as columns, and what the catalogue says of each item."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from deploy.recs.interactions import Interactions
from deploy.recs.tie_order import event_order
from producers.dataset import Dataset, open_dataset
from schemas.errors import ConfigError
from schemas.messages import EVENT_TYPES, BehaviorEvent, Item, UserAttributes

DAY_MS = 86_400_000
BULK_SHARE = 0.5
TIE_SEED = 1


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


def read_folder(folder: Path, mapping: str | None = None) -> RecordedData:
    """Read a folder in the documented layout (docs/data-layout.md).

    Raises:
        ConfigError: it is another, or holds no event with an item; the message says what is expected.
    """
    return from_dataset(open_dataset(folder, mapping))


def from_dataset(dataset: Dataset) -> RecordedData:
    """The events with an item, and the catalogue; items that only events know have no text."""
    catalogue = list(dataset.items())
    events = [event for event in dataset.events() if event.item_id is not None]
    if not events:
        raise ConfigError(f"{dataset.events_file.path} has no event with an item: there is nothing to recommend")
    by_id = {item.item_id: item for item in catalogue}
    item_ids = sorted(by_id.keys() | {event.item_id for event in events if event.item_id is not None})
    return RecordedData(
        name=dataset.folder.resolve().name,
        source=dataset.mapping_source,
        interactions=_columns(events, item_ids),
        texts=[_text(by_id.get(item_id)) for item_id in item_ids],
        tags=[_tags(by_id.get(item_id)) for item_id in item_ids],
        has_times=dataset.has_times,
        items=by_id,
        attributes={declared.user_id: declared for declared in dataset.attributes()},
        bad_rows=len(dataset.bad_rows),
    )


def ordered(
    users: Sequence[str],
    items: Sequence[str],
    times_ms: Sequence[int],
    *,
    types: Sequence[int] | None = None,
    values: Sequence[float] | None = None,
    sessions: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    seed: int = TIE_SEED,
) -> Interactions:
    """Events as columns in their order; a session ("" for none) is a basket, and so is a moment outside of one."""
    user_ids = sorted(set(users))
    item_ids = sorted(set(items)) if item_ids is None else item_ids
    user_numbers = _numbers(users, user_ids)
    item_numbers = _numbers(items, item_ids)
    times = np.asarray(times_ms, dtype=np.int64)
    order = event_order(user_numbers, item_numbers, times, user_ids, item_ids, seed)
    baskets: dict[tuple[str, str | int], int] = {}
    named = sessions if sessions is not None else [""] * len(users)
    numbered = [
        baskets.setdefault((user, session or time), len(baskets))
        for user, session, time in zip(users, named, times_ms, strict=True)
    ]
    return Interactions(
        users=user_numbers[order],
        items=item_numbers[order],
        times_ms=times[order],
        types=np.asarray(types if types is not None else [1] * len(users), dtype=np.int32)[order],
        values=np.asarray(values if values is not None else [np.nan] * len(users), dtype=np.float32)[order],
        baskets=np.asarray(numbered, dtype=np.int32)[order],
        user_ids=user_ids,
        item_ids=item_ids,
    )


def _numbers(ids: Sequence[str], all_ids: Sequence[str]) -> "np.typing.NDArray[np.int32]":
    places = {name: place for place, name in enumerate(all_ids)}
    return np.fromiter((places[name] for name in ids), dtype=np.int32, count=len(ids))


def _columns(events: Iterable[BehaviorEvent], item_ids: Sequence[str]) -> Interactions:
    codes = {name: code for code, name in enumerate(EVENT_TYPES, start=1)}
    rows = [
        (
            e.user_id,
            e.item_id or "",
            e.event_time_ms,
            codes[e.type],
            np.nan if e.value is None else e.value,
            e.session_id or "",
        )
        for e in events
    ]
    users, items, times_ms, types, values, sessions = zip(*rows, strict=True)
    return ordered(users, items, times_ms, types=types, values=values, sessions=sessions, item_ids=item_ids)


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
