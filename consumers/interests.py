"""What a user cares about, by tag, from facts alone: events joined with the catalogue, declared tags, edits and mutes."""

import math
from collections.abc import Mapping
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


class _Tally:
    """A tag's running weight, and the newest events for and against it."""

    __slots__ = ("against", "declared", "liked", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.liked: list[str] = []
        self.against: list[str] = []
        self.declared: tuple[str, ...] = ()

    def interest(self) -> Interest:
        """Only what speaks for the outcome is its evidence."""
        events = self.liked if self.weight > 0 else self.against
        declared = self.declared if self.weight > 0 else ()
        return Interest(
            self.weight,
            (*declared, *[f"event:{event_id}" for event_id in events])[:MAX_EVIDENCE],
        )


def interests(state: UserState, items: Mapping[str, Item], rules: InterestRules) -> dict[str, Interest]:
    """Every tag the user is known to like or dislike. Events on items not in `items` count once the item is there.

    Ages are counted from the user's newest event, so the result depends on the state and the catalogue alone. Muted tags are
    left out; the user's own edits win over all events.
    """
    tallies: dict[str, _Tally] = {}
    _count_events(tallies, state, items, rules)
    if state.attributes is not None:
        for tag in state.attributes.tags:
            tally = tallies.setdefault(tag, _Tally())
            if not tally.declared:
                tally.weight += DECLARED_WEIGHT
                tally.declared = ("field:tags",)
    found = {tag: tally.interest() for tag, tally in tallies.items() if tally.weight}
    if state.edits:
        found = _edited(found, state.edits)
    if state.muted_tags:
        muted = {tag.casefold() for tag in state.muted_tags}
        found = {tag: interest for tag, interest in found.items() if tag.casefold() not in muted}
    return found


def _count_events(
    tallies: dict[str, _Tally],
    state: UserState,
    items: Mapping[str, Item],
    rules: InterestRules,
) -> None:
    """Add each event's decayed weight to its item's tags, newest event first."""
    if not state.events:
        return
    newest_ms = state.events[-1].event_time_ms
    halvings_per_ms = 1.0 / (rules.half_life_h * MS_PER_H)
    for event in reversed(state.events):
        item = items.get(event.item_id) if event.item_id is not None else None
        if item is None or not item.tags:
            continue
        weight = event_weight(event.type, event.value, rules.type_weights)
        if not weight:
            continue
        share = weight * math.exp2((event.event_time_ms - newest_ms) * halvings_per_ms) / len(item.tags)
        for tag in item.tags:
            tally = tallies.get(tag)
            if tally is None:
                tally = tallies[tag] = _Tally()
            tally.weight += share
            behind = tally.liked if share > 0 else tally.against
            if len(behind) < MAX_EVIDENCE:
                behind.append(event.event_id)


def _edited(found: dict[str, Interest], edits: Mapping[str, str]) -> dict[str, Interest]:
    """The user's own word replaces what events say, whatever the letter case they wrote the tag in."""
    spelled = {tag.casefold(): tag for tag in found}
    edited = dict(found)
    for topic, stance in sorted(edits.items()):
        sign = {"interested": 1.0, "not_interested": -1.0}.get(stance)
        if sign is None:
            continue
        tag = spelled.get(topic.casefold(), topic)
        counted = found.get(tag, Interest(0.0, ()))
        agreeing = max(sign * counted.weight, 0.0)
        evidence = ("field:edits", *(counted.evidence if agreeing else ()))
        edited[tag] = Interest(sign * (EDIT_WEIGHT + agreeing), evidence[:MAX_EVIDENCE])
    return edited
