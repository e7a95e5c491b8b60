"""What a catalogue learns from users' new events: what is popular, what goes together, and what people come back to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Rows
from consumers.statements.feedback import weights_of
from schemas.messages import BehaviorEvent, EventType
from schemas.state import HistoryEvent, UserState

REACH = 10
"""Events before a new one that it is paired with; the n-th before it counts 1 / n."""
VISIT_MS = 30 * 60 * 1000
"""Takings of one item that are nearer to each other are of one visit: looked at, put into the basket and bought."""

Event = BehaviorEvent | HistoryEvent
"""As it was sent, or as a state keeps it."""
Learnt = tuple[Sequence[Event], UserState]
"""What is new of a user, and the state that has it by now."""
Mask = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Takings(NamedTuple):
    """Events on items, a user's side by side and oldest first, all columns [n].

    `users` are numbers, `rows` -1 for items without one; an event with a positive weight speaks for its item.
    """

    users: Rows
    rows: Rows
    times_ms: Times
    weights: Weights
    is_new: Mask

    def part(self, chosen: "Mask | Rows") -> "Takings":
        """Some of them."""
        return Takings(self.users[chosen], self.rows[chosen], self.times_ms[chosen], self.weights[chosen], self.is_new[chosen])


class Pairs(NamedTuple):
    """Items that a user turned to one soon after the other, by row, all columns [n]; the nearer, the more a pair counts."""

    ones: Rows
    others: Rows
    weights: Weights
    times_ms: Times


def learn_from(users: Iterable[Learnt], catalogue: Catalogue, type_weights: Mapping[EventType, float]) -> None:
    """Let the catalogue learn of each user what is new."""
    learnt = [(own, state) for new, state in users if (own := [event for event in new if event.item_id is not None])]
    if not learnt:
        return
    known = takings(learnt, catalogue, type_weights)
    new = known.part(known.is_new)
    catalogue.popularity.observe(new.rows, new.weights, new.times_ms.astype(np.float64))
    pairs = meetings(known)
    catalogue.covisitation.observe(pairs.ones, pairs.others, pairs.weights, pairs.times_ms.astype(np.float64))
    catalogue.returns.observe(*returning(known, [state for _, state in learnt], catalogue))


def takings(learnt: Sequence[Learnt], catalogue: Catalogue, type_weights: Mapping[EventType, float]) -> Takings:
    """What these users did on items: what states keep, and all that is new, though a state may have no more room for it."""
    events: list[Event] = []
    is_new: list[bool] = []
    lengths: list[int] = []
    for new, state in learnt:
        fresh = {event.event_id for event in new}
        own = [event for event in _history(new, fresh, state) if event.item_id is not None]
        events += own
        is_new += [event.event_id in fresh for event in own]
        lengths.append(len(own))
    return Takings(
        np.repeat(np.arange(len(learnt)), lengths),
        catalogue.rows([event.item_id for event in events]),
        np.array([event.event_time_ms for event in events], np.int64),
        weights_of(events, type_weights),
        np.array(is_new, np.bool_),
    )


def _history(new: Sequence[Event], fresh: set[str], state: UserState) -> Sequence[Event]:
    kept = {event.event_id for event in state.events}
    if fresh <= kept:
        return state.events
    events: list[Event] = [*state.events, *(event for event in new if event.event_id not in kept)]
    events.sort(key=lambda event: (event.event_time_ms, event.event_id))
    return events


def meetings(known: Takings) -> Pairs:
    """Pairs of which one is new, of what was taken at most REACH takings apart: each once, however the events came in batches.

    A late event meets what came after it, too. What matters is that something was taken, not how much its event says.
    """
    taken = known.part(known.weights > 0)
    later, apart = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for back in range(1, min(REACH, len(taken.users) - 1) + 1):
        one_user = taken.users[back:] == taken.users[:-back]
        later.append(back + np.flatnonzero(one_user & (taken.is_new[back:] | taken.is_new[:-back])))
        apart.append(np.full(len(later[-1]), back))
    at, backs = np.concatenate(later), np.concatenate(apart)
    return Pairs(taken.rows[at], taken.rows[at - backs], 1.0 / backs, taken.times_ms[at])


def returning(known: Takings, states: Sequence[UserState], catalogue: Catalogue) -> tuple[Rows, list[bool]]:
    """Of each visit in which an item is newly taken: its row, and whether the user had taken it in an earlier visit."""
    known = known.part(known.rows >= 0)
    known = known.part(np.lexsort((known.rows, known.users)))  # stable: takings of one item stay in their order
    first = np.ones(len(known.users), np.bool_)
    first[1:] = (np.diff(known.users) != 0) | (np.diff(known.rows) != 0)
    of_item = np.cumsum(first) - 1
    known_milli = np.bincount(of_item, np.round(1000 * known.weights))[of_item]
    taken_at = np.flatnonzero(known.weights > 0)
    taken, known_milli = known.part(taken_at), known_milli[taken_at]
    before = np.zeros(len(taken_at), np.bool_)
    before[1:] = (np.diff(taken.users) == 0) & (np.diff(taken.rows) == 0)
    apart_ms = np.diff(taken.times_ms, prepend=0)
    visits = np.flatnonzero(taken.is_new & (~before | (apart_ms >= VISIT_MS)))
    again = [
        bool(before[at]) or _weight_milli(states[taken.users[at]], catalogue.item_ids[taken.rows[at]]) > known_milli[at]
        for at in visits.tolist()
    ]
    return taken.rows[visits], again


def _weight_milli(state: UserState, item_id: str) -> int:
    """What all of a user's events say for an item: more than the known ones do where it was taken before those."""
    count = state.items.get(item_id)
    return 0 if count is None else count.weight_milli
