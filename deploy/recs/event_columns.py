"""Events with an item as columns of numbers, out of messages one at a time: memory holds no message of millions."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deploy.recs.interactions import Floats, Interactions, Ints, Times
from deploy.recs.tie_order import event_order
from schemas.messages import EVENT_TYPES, BehaviorEvent

TIE_SEED = 1


@dataclass(frozen=True)
class EventColumns:
    """Events in the order they came. `users`, `items` and `sessions` are places in the lists of ids, -1 for no session.

    `types` and `values` are as in `Interactions`; `first_ms` and `last_ms` span events without an item, too.
    """

    users: Ints
    items: Ints
    sessions: Ints
    times_ms: Times
    types: Ints
    values: Floats
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    session_ids: Sequence[str]
    first_ms: int
    last_ms: int

    def __len__(self) -> int:
        return len(self.users)


def columns_of(events: Iterable[BehaviorEvent]) -> EventColumns:
    """Columns of the events that have an item."""
    users, items, sessions = _Numbered(), _Numbered(), _Numbered()
    times_ms, types, values = array("q"), array("i"), array("f")
    codes = {name: code for code, name in enumerate(EVENT_TYPES, start=1)}
    first_ms, last_ms = 2**63 - 1, 0
    for event in events:
        time_ms = event.event_time_ms
        first_ms, last_ms = min(first_ms, time_ms), max(last_ms, time_ms)
        if event.item_id is not None:
            users.add(event.user_id)
            items.add(event.item_id)
            sessions.add(event.session_id)
            times_ms.append(time_ms)
            types.append(codes[event.type])
            values.append(np.nan if event.value is None else event.value)
    return EventColumns(
        users.places(),
        items.places(),
        sessions.places(),
        np.array(times_ms, np.int64),
        np.array(types, np.int32),
        np.array(values, np.float32),
        users.ids(),
        items.ids(),
        sessions.ids(),
        min(first_ms, last_ms),
        last_ms,
    )


def in_order(columns: EventColumns, item_ids: Sequence[str] | None = None, seed: int = TIE_SEED) -> Interactions:
    """The events as models get them; a session is a basket, and so is a moment outside of one.

    `item_ids`, sorted, hold everything that may be recommended; by default what the events are of.
    """
    user_ids = sorted(columns.user_ids)
    item_ids = sorted(columns.item_ids) if item_ids is None else item_ids
    users = _places_in(user_ids, columns.user_ids)[columns.users]
    items = _places_in(item_ids, columns.item_ids)[columns.items]
    order = event_order(users, items, columns.times_ms, user_ids, item_ids, seed)
    return Interactions(
        users=users[order],
        items=items[order],
        times_ms=columns.times_ms[order],
        types=columns.types[order],
        values=columns.values[order],
        baskets=_baskets(users, columns)[order],
        user_ids=user_ids,
        item_ids=item_ids,
    )


def _baskets(users: Ints, columns: EventColumns) -> Ints:
    """A number for each event, the same for those of one user's session, or moment outside of one."""
    in_session = columns.sessions >= 0
    marks = np.where(in_session, columns.sessions, columns.times_ms)
    order = np.lexsort((marks, in_session, users))
    first = np.zeros(len(order), np.bool_)
    for column in (users, in_session, marks):
        first[1:] |= column[order][1:] != column[order][:-1]
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.cumsum(first)
    return numbers


def _places_in(sorted_ids: Sequence[str], ids: Sequence[str]) -> Ints:
    places = {name: place for place, name in enumerate(sorted_ids)}
    return np.fromiter((places[name] for name in ids), dtype=np.int32, count=len(ids))


class _Numbered:
    """Ids by the number of their first appearance; None and an empty one are -1."""

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._numbers = array("i")

    def add(self, name: str | None) -> None:
        self._numbers.append(self._number_of.setdefault(name, len(self._number_of)) if name else -1)

    def places(self) -> Ints:
        return np.array(self._numbers, np.int32)

    def ids(self) -> list[str]:
        return list(self._number_of)
