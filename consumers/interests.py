"""What a user cares about, by tag, from facts alone: events joined with the catalogue, declared tags, edits and mutes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.feedback import event_weight
from schemas.messages import EventType, Item
from schemas.state import UserState

DECLARED_WEIGHT = 4.0
"""What a declared tag weighs: as much as a favourite of an item with this tag alone."""
EDIT_WEIGHT = 8.0
"""What an edit weighs at least: more than any one event."""
MAX_EVIDENCE = 5
MS_PER_H = 3_600_000.0


@dataclass(frozen=True)
class InterestRules:
    """How events weigh: by type (`FoldSettings.type_weights`), halved every `half_life_h` hours."""

    type_weights: Mapping[EventType, float]
    half_life_h: float


class Interest(NamedTuple):
    """A signed weight, negative for a dislike, and what it rests on: `event:ID` or `field:NAME`, newest first, at most 5."""

    weight: float
    evidence: tuple[str, ...]


def event_weights(state: UserState, rules: InterestRules) -> list[float]:
    """What each event of the history says, oldest first: its weight, faded by its age. Ages are counted from the newest."""
    if not state.events:
        return []
    newest_ms = state.events[-1].event_time_ms
    halvings_per_ms = 1.0 / (rules.half_life_h * MS_PER_H)
    type_weights, exp2 = rules.type_weights, math.exp2
    return [
        event_weight(event.type, event.value, type_weights) * exp2((event.event_time_ms - newest_ms) * halvings_per_ms)
        for event in state.events
    ]


def tag_weights(
    state: UserState, items: Mapping[str, Item], rules: InterestRules, weights: Sequence[float] | None = None
) -> dict[str, float]:
    """The weight of every tag the user is known to like or dislike: `interests` without the evidence, at half the cost.

    `weights` are the state's `event_weights`, where the caller has them.
    """
    counted = _counted(state, items, event_weights(state, rules) if weights is None else weights)
    return _unmuted(counted | _edited(counted, state.edits), state.muted_tags)


def interests(state: UserState, items: Mapping[str, Item], rules: InterestRules) -> dict[str, Interest]:
    """Every tag the user is known to like or dislike. Events on items not in `items` count once the item is there.

    Ages are counted from the user's newest event, so the result depends on the state and the catalogue alone. Muted tags are
    left out; the user's own edits win over all events. Only what speaks for the outcome is its evidence.
    """
    weights = event_weights(state, rules)
    counted = _counted(state, items, weights)
    edited = _edited(counted, state.edits)
    found = _unmuted(counted | edited, state.muted_tags)
    evidence: dict[str, list[str]] = {tag: ["field:edits"] if tag in edited else [] for tag in found}
    agreeing = {tag: rests for tag, rests in evidence.items() if found[tag] * counted.get(tag, 0.0) > 0}
    for tag in set(state.attributes.tags) if state.attributes is not None else ():
        if tag in agreeing and found[tag] > 0:
            agreeing[tag].append("field:tags")
    for tags, weight, event_id in _tagged_events(state, items, weights):
        for tag in tags:
            if tag in agreeing and (found[tag] > 0) == (weight > 0) and len(agreeing[tag]) < MAX_EVIDENCE:
                agreeing[tag].append(f"event:{event_id}")
    return {tag: Interest(weight, tuple(evidence[tag])) for tag, weight in found.items()}


def _counted(state: UserState, items: Mapping[str, Item], weights: Sequence[float]) -> dict[str, float]:
    """What events and declared tags add up to, by tag."""
    counted: dict[str, float] = {}
    get_item, get_count = items.get, counted.get
    for event, weight in zip(reversed(state.events), reversed(weights), strict=True):  # `_tagged_events`, at half its cost
        item = get_item(event.item_id) if weight and event.item_id is not None else None
        if item is not None and item.tags:
            tags = item.tags
            share = weight / len(tags)
            for tag in tags:
                counted[tag] = get_count(tag, 0.0) + share
    if state.attributes is not None:
        for tag in dict.fromkeys(state.attributes.tags):
            counted[tag] = counted.get(tag, 0.0) + DECLARED_WEIGHT
    return {tag: weight for tag, weight in counted.items() if weight}


def _edited(counted: Mapping[str, float], edits: Mapping[str, str]) -> dict[str, float]:
    """The weights of the tags the user edited, spelled as they were counted: their word replaces what events say."""
    edited: dict[str, float] = {}
    if not edits:
        return edited
    spelled = {tag.casefold(): tag for tag in counted}
    for topic, stance in sorted(edits.items()):
        sign = {"interested": 1.0, "not_interested": -1.0}.get(stance)
        if sign is not None:
            tag = spelled.get(topic.casefold(), topic)
            edited[tag] = sign * (EDIT_WEIGHT + max(sign * counted.get(tag, 0.0), 0.0))
    return edited


def _unmuted(found: dict[str, float], muted_tags: Sequence[str]) -> dict[str, float]:
    if not muted_tags:
        return found
    muted = {tag.casefold() for tag in muted_tags}
    return {tag: weight for tag, weight in found.items() if tag.casefold() not in muted}


def _tagged_events(
    state: UserState, items: Mapping[str, Item], weights: Sequence[float]
) -> Iterator[tuple[list[str], float, str]]:
    """Tags, weight and id of the events that say something about a tag, newest first."""
    for event, weight in zip(reversed(state.events), reversed(weights), strict=True):
        item = items.get(event.item_id) if weight and event.item_id is not None else None
        if item is not None and item.tags:
            yield item.tags, weight, event.event_id
