"""What a user cares about, by tag, from facts alone: events joined with the catalogue, the user's own words, edits and mutes.

A tag's weight is a balance kept over the history, oldest event first. An event adds its share. One that speaks against the
tag also takes away a part of what had gathered for it, so a few clear refusals outweigh any number of old clicks. A word of
the user sets the balance anew: what had gathered against it is void. An edit replaces the outcome.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.statements.clean_text import tag_key
from consumers.statements.evidence import Entry, Outlook, Window, outlook
from consumers.statements.feedback import event_weight, heard_weight
from consumers.statements.own_words import Said, Word, own_words
from consumers.statements.vocabulary import NO_WORDS, Vocabulary
from schemas.messages import EventType, Item, Trend
from schemas.state import HistoryEvent, UserState

DECLARED_WEIGHT = 4.0
"""What the user's word weighs: as much as a favourite of an item with this tag alone."""
EDIT_WEIGHT = 8.0
"""What an edit weighs at least: more than any one event."""
SWEEP_WEIGHT = 12.0
SWEEP_LIMIT = 0.5
"""An event of weight -w takes away w / SWEEP_WEIGHT of what speaks for its item's tags, shared among them, at most half."""
MAX_EVIDENCE = 5
MS_PER_H = 3_600_000.0


@dataclass(frozen=True)
class InterestRules:
    """How events weigh: by type (`FoldSettings.type_weights`), halved every `half_life_h` hours.

    `utc_offset_h` is what the users' clocks are ahead of UTC, for habits.
    """

    type_weights: Mapping[EventType, float]
    half_life_h: float
    utc_offset_h: float = 0.0


class Interest(NamedTuple):
    """A signed weight, negative for a dislike, and what it rests on: `event:ID` or `field:NAME`, newest first, at most 5.

    `shares` is what each event supports it with, faded by age, and `word_share` what the user's word does. `came` and `wanes`
    are those of its `Outlook`.
    """

    weight: float
    evidence: tuple[str, ...]
    confidence: float
    trend: Trend
    shares: Mapping[str, float] = {}
    word_share: float = 0.0
    came: bool = False
    wanes: bool = False


def event_weights(state: UserState, rules: InterestRules) -> list[float]:
    """What each event of the history says, oldest first: its weight, faded by its age. Ages are counted from the newest."""
    if not state.events:
        return []
    newest_ms = state.events[-1].event_time_ms
    halvings_per_ms = 1.0 / (rules.half_life_h * MS_PER_H)
    type_weights, exp2 = rules.type_weights, math.exp2
    if "comment" in state.type_counts:
        return [
            heard_weight(event, type_weights) * exp2((event.event_time_ms - newest_ms) * halvings_per_ms)
            for event in state.events
        ]
    return [  # the same, for most users
        event_weight(event.type, event.value, type_weights) * exp2((event.event_time_ms - newest_ms) * halvings_per_ms)
        for event in state.events
    ]


def tag_weights(
    state: UserState,
    items: Mapping[str, Item],
    rules: InterestRules,
    weights: Sequence[float] | None = None,
    vocabulary: Vocabulary = NO_WORDS,
) -> dict[str, float]:
    """The weight of every tag the user is known to like or dislike: `interests` without the rest, at a fraction of the cost.

    `weights` are the state's `event_weights`, where the caller has them; `vocabulary` is that of `items`.
    """
    weights = event_weights(state, rules) if weights is None else weights
    counted = _counted(state, items, rules, weights, own_words(state, vocabulary))
    return _unmuted(counted | _edited(counted, state.edits), state.muted_tags)


def interests(
    state: UserState, items: Mapping[str, Item], rules: InterestRules, vocabulary: Vocabulary = NO_WORDS
) -> dict[str, Interest]:
    """Every tag the user is known to like or dislike. Events on items not in `items` count once the item is there.

    Ages are counted from the user's newest event, so the result depends on the state and the catalogue alone. Muted tags are
    left out; the user's own edits win over everything. Only what speaks for the outcome is its evidence. Spellings of a tag
    that differ in letter case alone are one tag. Without `vocabulary`, that of `items`, free text and comments say nothing.
    """
    weights = event_weights(state, rules)
    said = own_words(state, vocabulary)
    counted = _counted(state, items, rules, weights, said)
    edited = _edited(counted, state.edits)
    found = _merged(_unmuted(counted | edited, state.muted_tags))
    edits = {tag.casefold() for tag in edited}
    entries = _entries(state, items, rules, weights, said)
    window = Window.of(state, items, rules.type_weights)
    result = {}
    for tag, weight in found.items():
        key = tag.casefold()
        seen = outlook(entries.get(key, ()), 1 if weight > 0 else -1, key, window, key in edits)
        if seen is not None:
            evidence = _evidence(seen, key in edits)
            word_share = DECLARED_WEIGHT if seen.told or key in edits else 0.0
            result[tag] = Interest(
                weight, evidence, seen.confidence, seen.trend, seen.shares, word_share, seen.came, seen.wanes
            )
    return result


def _evidence(seen: Outlook, edited: bool) -> tuple[str, ...]:
    """Fields first, then events, newest first."""
    rests = ["field:edits"] if edited else []
    rests += [one for one in seen.evidence if one.startswith("field:")]
    rests += [one for one in seen.evidence if not one.startswith("field:")]
    return tuple(dict.fromkeys(rests))[:MAX_EVIDENCE]


def _counted(
    state: UserState, items: Mapping[str, Item], rules: InterestRules, weights: Sequence[float], said: Sequence[Said]
) -> dict[str, float]:
    """The balance of every tag that events or words speak of."""
    counted: dict[str, float] = {}
    start = 0
    for place, words in said:
        _count_events(counted, state.events[start:place], items, rules, weights[start:place])
        _count_words(counted, words)
        start = place
    events, left = (state.events[start:], weights[start:]) if start else (state.events, weights)
    _count_events(counted, events, items, rules, left)
    return {tag: weight for tag, weight in counted.items() if weight}


def _count_events(
    counted: dict[str, float],
    events: Sequence[HistoryEvent],
    items: Mapping[str, Item],
    rules: InterestRules,
    weights: Sequence[float],
) -> None:
    get_item, get_count, type_weights = items.get, counted.get, rules.type_weights
    refused: dict[str, float] = {}
    """Balances as the last event against the tag left them: while they stand, nothing came between."""
    for event, weight in zip(events, weights, strict=True):
        item = get_item(event.item_id) if weight and event.item_id is not None else None
        if item is None or not item.tags:
            continue
        tags = item.tags
        share = weight / len(tags)
        if weight > 0:
            for tag in tags:
                counted[tag] = get_count(tag, 0.0) + share
        else:
            heard = heard_weight(event, type_weights)
            for tag in tags:
                balance = get_count(tag, 0.0)
                if balance > 0:
                    balance *= kept_share(heard, 1 if refused.get(tag) == balance else len(tags))
                counted[tag] = refused[tag] = balance + share


def kept_share(weight: float, tags: int) -> float:
    """What is left of a balance in favour of a tag after an event of this negative weight on an item with so many tags.

    Of two in a row that have the tag in common the second counts as if it were the item's only one.
    """
    swept = -weight / SWEEP_WEIGHT
    return 1.0 - (swept if swept < SWEEP_LIMIT else SWEEP_LIMIT) / tags


def _count_words(counted: dict[str, float], words: Mapping[str, Word]) -> None:
    spelled: dict[str, list[str]] = {}
    for tag in [tag for tag in counted if tag.casefold() in words]:
        spelled.setdefault(tag.casefold(), []).append(tag)
    for key, word in words.items():
        spellings = spelled.get(key, ())
        for tag in spellings:
            counted[tag] = word.sign * max(word.sign * counted[tag], 0.0)
        tag = word.tag if word.tag in spellings or not spellings else spellings[0]
        counted[tag] = counted.get(tag, 0.0) + word.sign * DECLARED_WEIGHT


def _entries(
    state: UserState, items: Mapping[str, Item], rules: InterestRules, weights: Sequence[float], said: Sequence[Said]
) -> dict[str, list[Entry]]:
    """All that events and words say, by case-folded tag, in the order in which it counts."""
    entries: dict[str, list[Entry]] = {}
    places = [one.place for one in said]
    for place, (event, faded) in enumerate(zip(state.events, weights, strict=True)):
        for words in said[bisect_right(places, place - 1) : bisect_right(places, place)]:
            _enter_words(entries, words)
        item = items.get(event.item_id) if event.item_id is not None else None
        if item is None or not item.tags:
            continue
        weight = heard_weight(event, rules.type_weights)
        size = len(item.tags)
        if weight:
            for tag in dict.fromkeys(tag.casefold() for tag in item.tags):
                of_tag = entries.setdefault(tag, [])
                again = bool(of_tag) and of_tag[-1].weight < 0 and not of_tag[-1].is_word
                kept = kept_share(weight, 1 if again else size) if weight < 0 else 1.0
                of_tag.append(Entry(place, weight / size, faded / size, (f"event:{event.event_id}",), kept))
    for words in said[bisect_right(places, len(state.events) - 1) :]:
        _enter_words(entries, words)
    return entries


def _enter_words(entries: dict[str, list[Entry]], said: Said) -> None:
    for key, word in said.words.items():
        weight = word.sign * DECLARED_WEIGHT
        entries.setdefault(key, []).append(Entry(said.place, weight, weight, word.evidence, is_word=True, before=word.before))


def _edited(counted: Mapping[str, float], edits: Mapping[str, str]) -> dict[str, float]:
    """The weights of the tags the user edited, in all the spellings that were counted: their word replaces what events say."""
    edited: dict[str, float] = {}
    if not edits:
        return edited
    spelled: dict[str, list[str]] = {}
    for tag in counted:
        spelled.setdefault(tag_key(tag), []).append(tag)
    for topic, stance in sorted(edits.items()):
        sign = {"interested": 1.0, "not_interested": -1.0}.get(stance)
        if sign is not None:
            for tag in spelled.get(tag_key(topic), [topic]):
                edited[tag] = sign * (EDIT_WEIGHT + max(sign * counted.get(tag, 0.0), 0.0))
    return edited


def _merged(found: Mapping[str, float]) -> dict[str, float]:
    """One tag for all its spellings: the heaviest of them, with the sum of the weights."""
    groups: dict[str, list[str]] = {}
    for tag in found:
        groups.setdefault(tag.casefold(), []).append(tag)
    merged = {}
    for tags in groups.values():
        weight = sum(found[tag] for tag in tags)
        if weight:
            merged[max(tags, key=lambda tag: (abs(found[tag]), tag))] = weight
    return merged


def _unmuted(found: dict[str, float], muted_tags: Sequence[str]) -> dict[str, float]:
    if not muted_tags:
        return found
    muted = {tag_key(tag) for tag in muted_tags}
    return {tag: weight for tag, weight in found.items() if tag_key(tag) not in muted}
