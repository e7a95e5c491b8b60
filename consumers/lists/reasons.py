"""Why an item is in a list: the parts of its score that speak for it, and what put it there. True by construction.

A part that adds nothing is never a reason; an item that is named is the one that adds most to the part, and the event is one
of the user's own on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.lists.candidates import Candidates
from consumers.lists.concepts import Concepts
from consumers.lists.people import People
from consumers.lists.ranking import FEATURES
from consumers.lists.reason_texts import reason_text
from consumers.lists.rules import RowRules
from consumers.statements.feedback import heard_weight
from schemas.messages import EventType, Item, Language, Reason
from schemas.state import HistoryEvent, UserState

NOTABLE_SHARE = 0.1
"""A part is a reason when it is at least this share of all that speaks for the item."""
NEW_HALF_LIVES = 2.0
"""An item is called fresh for this many half-lives of freshness."""
USERS_AT_ONCE = 32
FRESHNESS = FEATURES.index("freshness")


@dataclass(frozen=True)
class Teller:
    """What reasons are told from, beside the user."""

    catalogue: Catalogue
    rules: RowRules
    concepts: Concepts
    type_weights: Mapping[EventType, float]
    language: Language
    now_ms: int


class Listener(NamedTuple):
    """One user as reasons know them: tastes as in `People` and `Concepts`, and `liked` rows with how much they count.

    `known` keeps the reasons that rest on an event, as items of a list often share them.
    """

    state: UserState
    taste: Mapping[str, float]
    concept_taste: Mapping[str, float]
    liked: Mapping[int, float]
    language: Language
    known: dict[tuple[str, int], Reason]


class Told(NamedTuple):
    """One place of a list, as far as reasons need it."""

    row: int
    item: Item
    origin: int
    nearest: int
    pinned_by: str | None
    explored: bool


def notable_parts(parts: Floats, features: Floats) -> list[list[list[int]]]:
    """For each item the places in FEATURES of the parts of its score [users, k, f] that notably speak for it, strongest first.

    Only of `features` [users, k, f] that it has: a ranker may find more in none than in the usual.
    """
    positive = np.maximum(parts, 0)
    notable = (features > 0) & (positive > 0) & (positive >= NOTABLE_SHARE * positive.sum(axis=2, keepdims=True))
    notable[:, :, FRESHNESS] &= features[:, :, FRESHNESS] >= 0.5**NEW_HALF_LIVES
    order = np.argsort(-positive, axis=2, kind="stable")
    counts = notable.sum(axis=2).tolist()
    ranked = np.argsort(~np.take_along_axis(notable, order, axis=2), axis=2, kind="stable")
    indexes = np.take_along_axis(order, ranked, axis=2).tolist()
    return [[own[:count] for own, count in zip(ours, these, strict=True)] for ours, these in zip(indexes, counts, strict=True)]


def nearest_liked(shown: Candidates, users: People, catalogue: Catalogue) -> Rows:
    """For each item [users, k] the row of the liked item that adds most to its similarity, weight times cosine; -1 if none."""
    found = np.full(shown.rows.shape, -1, np.int64)
    for start in range(0, len(users), USERS_AT_ONCE):
        own = slice(start, start + USERS_AT_ONCE)
        liked = users.liked[own]
        adds = np.matmul(catalogue.vectors(shown.rows[own]), catalogue.vectors(liked).transpose(0, 2, 1))
        adds *= users.liked_weights[own, None, :]
        best = adds.argmax(axis=2)
        rows = np.take_along_axis(liked, best, axis=1)
        found[own] = np.where(adds.max(axis=2) > 0, rows, -1)
    return found


def reasons(told: Told, notable: Sequence[int], user: Listener, teller: Teller) -> list[Reason]:
    """Why this item is in this user's list: what put it there whatever its score, then the parts that speak for it.

    An item that nothing speaks for, where so little is known, is there as the catalogue has it.
    """
    state, language = user.state, user.language
    found = []
    if told.pinned_by is not None:
        found.append(_reason("rule", language, told.pinned_by))
    if told.explored:
        found.append(_reason("exploration", language, ""))
    if told.item.item_id in state.items:
        found.append(_taken_before(language, told.item.item_id, state, teller))
    for index in notable:
        kind = FEATURES[index]
        if kind == "interest":
            found.append(_reason("interest", language, _best_tag(told.item.tags, user.taste)))
        elif kind == "similarity":
            if told.nearest >= 0:
                found.append(_of_event("similar_to", told.nearest, user, teller))
        elif kind == "sequence":
            if state.events:
                evidence = f"event:{state.events[-1].event_id}"
                found.append(Reason(kind=kind, text=reason_text(kind, language, ""), evidence=evidence))
        elif kind == "neighbour":
            found.append(_of_event("neighbour", told.origin, user, teller))
        elif kind == "concept":
            found.append(_shared_concept(told.row, user, teller))
        elif kind == "boost":
            raised = [boost.name for boost in teller.rules.boosts_of(told.row, teller.now_ms) if boost.amount > 0]
            found += [_reason("rule", language, name) for name in raised]
        else:
            found.append(
                _reason("fresh" if kind == "freshness" else "popular" if kind == "popularity" else kind, language, "")
            )
    return found or [_reason("catalogue", language, "")]


def _of_event(kind: str, row: int, user: Listener, teller: Teller) -> Reason:
    """A reason that rests on an item the user turned to."""
    found = user.known.get((kind, row))
    if found is not None:
        return found
    item_id = teller.catalogue.item_ids[row]
    event, title = _newest_liking(user.state, item_id, teller), teller.catalogue.items[item_id].title
    text = reason_text(kind, user.language, title, event.type)
    found = user.known[kind, row] = Reason(kind=kind, detail=title, text=text, evidence=f"event:{event.event_id}")
    return found


def _taken_before(language: Language, item_id: str, state: UserState, teller: Teller) -> Reason:
    """The user turned to this very item; the event is their newest that speaks for it, if it is still known."""
    for event in reversed(state.events):
        if event.item_id == item_id and heard_weight(event, teller.type_weights) > 0:
            return Reason(
                kind="again", text=reason_text("again", language, "", event.type), evidence=f"event:{event.event_id}"
            )
    return _reason("again", language, "")


def _best_tag(tags: Sequence[str], taste: Mapping[str, float]) -> str:
    best, most = "", 0.0
    for tag in tags:
        weight = taste.get(tag.casefold(), 0.0)
        if weight > most:
            best, most = tag, weight
    return best


def _shared_concept(row: int, user: Listener, teller: Teller) -> Reason:
    """The concept that adds most, and the liked item that adds most to it."""
    _, name = max((user.concept_taste.get(name, 0.0), name) for name in teller.concepts.names(row))
    adds = {
        origin: weight / len(names)
        for origin, weight in user.liked.items()
        if name in (names := teller.concepts.names(origin))
    }
    item_id = teller.catalogue.item_ids[max(adds, key=lambda origin: adds[origin])]
    event, title = _newest_liking(user.state, item_id, teller), teller.catalogue.items[item_id].title
    spelled = teller.concepts.spelled(name)
    text = reason_text("concept", user.language, spelled, event.type, title)
    return Reason(kind="concept", detail=spelled, text=text, evidence=f"event:{event.event_id}")


def _newest_liking(state: UserState, item_id: str, teller: Teller) -> HistoryEvent:
    """The newest event that speaks for an item; one there is, as the item is liked on the whole."""
    return next(
        event for event in reversed(state.events) if event.item_id == item_id and heard_weight(event, teller.type_weights) > 0
    )


@lru_cache(maxsize=10_000)
def _reason(kind: str, language: Language, detail: str) -> Reason:
    """Reasons repeat from list to list; making one anew costs more than all else about it."""
    return Reason(kind=kind, detail=detail, text=reason_text(kind, language, detail))
