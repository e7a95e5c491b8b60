"""How sure a like or dislike is, and where it is going: from all that speaks for and against one tag, in its order."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumers.statements.feedback import event_weight
from schemas.messages import EventType, Item, Trend
from schemas.state import HistoryEvent, UserState

HELD = 1.0
"""An opposite balance of this weight has held: enough for a dislike to be stated."""
TURNED_WITHIN = 25
"""A turn is called so while it began among so many newest events; one by the user's own word, as long as the word is known."""
RECENT_SHARE = 3
"""The newest third of the history is held against what came before."""
LEAST_EVENTS = 9
LEAST_SPAN_MS = 24 * 3_600_000
"""Below so many events or so much time there is no rise or fall to speak of."""
RISE = 1.5
FALL = 0.5
RISES_CHANCE, FADES_CHANCE = 0.025, 0.05
"""A rise or fall is called so when chance makes it this seldom: both come in likes of all ages, and most are gone again."""
COMES_CHANCE = 0.14
"""An interest came when chance makes it this seldom: it is not called a rise, but is not overlooked either."""
QUIET_EVENTS = (10, 15, 20)
"""A like fades when it has been quiet for so many newest events."""
HALF_SURE = 2.0
"""The supporting weight at which confidence is 0.5 when nothing speaks against it."""
WORD_SUPPORT = 18.0
"""What the user's own word supports: a confidence of 0.9 by itself."""


class Entry(NamedTuple):
    """One event's or word's share in a tag: its weight as it was and faded by age, and for one against, what it leaves.

    `place` is its event's index in the history; a word's, how many events came before it.
    """

    place: int
    weight: float
    faded: float
    evidence: tuple[str, ...]
    kept: float = 1.0
    is_word: bool = False
    before: bool = False


class Outlook(NamedTuple):
    """What speaks for a like or dislike, newest first, how sure it is, and its trend.

    `shares` is how much each event does, faded by age; `told` whether the user's word is among it. `came` says that it is met
    more than before, hardly by chance; `wanes` that a steady like is met half as often, if perhaps by chance.
    """

    evidence: tuple[str, ...]
    confidence: float
    trend: Trend
    shares: Mapping[str, float]
    told: bool
    came: bool
    wanes: bool


class Window(NamedTuple):
    """What a tag's entries are held against: the visit of each event, by place, and where the newest third begins.

    A visit is events in a row on one item; None where the item is not known. `totals` are the visits before each place where
    trends divide the history, and from it on.

    `older` is what the items' counts know of events no longer in the history, for and against, by case-folded tag.
    """

    visits: tuple[int | None, ...]
    recent_from: int
    tells_trends: bool
    totals: Mapping[int, tuple[int, int]]
    older: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, state: UserState, items: Mapping[str, Item], type_weights: Mapping[EventType, float]) -> "Window":
        """The window of a state."""
        events = state.events
        span_ms = events[-1].event_time_ms - events[0].event_time_ms if events else 0
        visits = _visits(events, items)
        recent_from = len(events) - len(events) // RECENT_SHARE
        places = {recent_from, *(len(events) - newest for newest in QUIET_EVENTS if newest < len(events))}
        return cls(
            visits,
            recent_from,
            len(events) >= LEAST_EVENTS and span_ms >= LEAST_SPAN_MS,
            {place: (len(set(visits[:place]) - {None}), len(set(visits[place:]) - {None})) for place in places},
            _older(state, items, type_weights),
        )

    def shares(self, places: Sequence[int], at: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Visits among those places, and all visits: before place `at`, a key of `totals`, and from it on."""
        split = bisect_left(places, at)
        before = {self.visits[place] for place in places[:split]}
        recent = {self.visits[place] for place in places[split:]}
        all_before, all_recent = self.totals[at]
        return (len(before), all_before), (len(recent), all_recent)


def _visits(events: Sequence[HistoryEvent], items: Mapping[str, Item]) -> tuple[int | None, ...]:
    """The visit of each event, by number: looks, likes and purchases of one item in a row are one choice of the user's."""
    visits: list[int | None] = []
    number, last = 0, None
    for event in events:
        known = event.item_id in items
        if known and event.item_id != last:
            number, last = number + 1, event.item_id
        visits.append(number if known else None)
    return tuple(visits)


def _older(
    state: UserState, items: Mapping[str, Item], type_weights: Mapping[EventType, float]
) -> dict[str, tuple[float, float]]:
    """What the items' counts hold beyond the history, by case-folded tag."""
    left = {item_id: count.weight_milli for item_id, count in state.items.items()}
    for event in state.events:
        if event.item_id in left:
            left[event.item_id] -= round(1000 * event_weight(event.type, event.value, type_weights))
    older: dict[str, tuple[float, float]] = {}
    for item_id, weight_milli in left.items():
        item = items.get(item_id) if weight_milli else None
        if item is None or not item.tags:
            continue
        share = weight_milli / 1000 / len(item.tags)
        for tag in dict.fromkeys(tag.casefold() for tag in item.tags):
            above, below = older.get(tag, (0.0, 0.0))
            older[tag] = (above + max(share, 0.0), below + max(-share, 0.0))
    return older


def outlook(entries: Sequence[Entry], sign: int, key: str, window: Window, edited: bool) -> Outlook | None:
    """Evidence, confidence and trend of a like (`sign` 1) or dislike (-1); None when nothing of it can be shown."""
    denied = [at for at, entry in enumerate(entries) if entry.is_word and entry.weight * sign < 0]
    in_force = [entry for entry in entries[denied[-1] + 1 if denied else 0 :] if entry.weight * sign > 0]
    if edited and _balance(entries) * sign < 0:
        in_force = []  # the edit stands alone against them
    if not in_force and not edited:
        return None
    word = next((entry for entry in reversed(in_force) if entry.is_word), None)
    older = window.older.get(key, (0.0, 0.0))
    own, opposite = older if sign > 0 else older[::-1]
    if edited:
        confidence = 1.0
        turned = opposite >= HELD or _balance(entries) * sign <= -HELD or any(entry.before for entry in entries)
    else:
        confidence = _confidence(entries, in_force, sign, 0.0 if denied else own)
        turned = word is not None and word.before
    places = [entry.place for entry in in_force if not entry.is_word]
    wanes = False
    if turned or _has_turned(entries, sign, own - opposite, window, word is not None):
        trend: Trend = "reversed"
    else:
        told_at = len(window.visits) if edited else word.place if word is not None else None
        trend, wanes = _course(places, 0.0 if denied else own, window, told_at)
    came = trend in ("new", "rising", "reversed") and window.tells_trends and _rise_chance(places, window) < COMES_CHANCE
    evidence = tuple(one for entry in reversed(in_force) for one in entry.evidence)
    shares = {entry.evidence[0]: abs(entry.faded) for entry in in_force if not entry.is_word}
    return Outlook(evidence, confidence, trend, shares, word is not None, came, wanes and sign > 0)


def _balance(entries: Sequence[Entry], start: float = 0.0) -> float:
    return _balances(entries, start)[-1]


def _balances(entries: Sequence[Entry], start: float) -> list[float]:
    """The balance without fading, before the first entry and after each."""
    balances = [start]
    for entry in entries:
        balance = balances[-1]
        if entry.is_word and balance * entry.weight < 0:
            balance = 0.0
        elif entry.weight < 0 < balance:
            balance *= entry.kept
        balances.append(balance + entry.weight)
    return balances


def _has_turned(entries: Sequence[Entry], sign: int, start: float, window: Window, told: bool) -> bool:
    """Whether the opposite held, and what turned it began not long ago."""
    balances = _balances(entries, start)
    opposite = [at for at, balance in enumerate(balances) if balance * sign <= -HELD]
    if not opposite:
        return False
    turning = next((entry for entry in entries[opposite[-1] :] if entry.weight * sign > 0), None)
    return turning is not None and (told or turning.place >= len(window.visits) - TURNED_WITHIN)


def _confidence(entries: Sequence[Entry], in_force: Sequence[Entry], sign: int, older: float) -> float:
    """By how much supports it, times the share of all evidence that does."""
    support = older + sum(WORD_SUPPORT if entry.is_word else abs(entry.faded) for entry in in_force)
    affirmed = [at for at, entry in enumerate(entries) if entry.is_word and entry.weight * sign > 0]
    since = entries[affirmed[-1] + 1 if affirmed else 0 :]
    against = sum(abs(entry.faded) for entry in since if entry.weight * sign < 0)
    return round(support / (support + against) * support / (support + HALF_SURE), 3)


def _course(places: Sequence[int], older: float, window: Window, told_at: int | None) -> tuple[Trend, bool]:
    """New, rising, fading or steady, and for a steady one whether it wanes, by where in the history it was met.

    `told_at` is after how many events the user said it, if they did: an edit says it now.
    """
    (before, all_before), (recent, all_recent) = window.shares(places, window.recent_from)
    if not window.tells_trends or not all_before or not all_recent:
        return "steady", False
    if not before and older < HELD:
        return "steady" if told_at is not None or not recent else "new", False
    quiet_chance = _quiet_chance(places, window, told_at or 0)
    if quiet_chance < FADES_CHANCE:
        return "fading", False
    if recent / all_recent >= RISE * before / all_before and _rise_chance(places, window) < RISES_CHANCE:
        return "rising", False
    return "steady", quiet_chance < 1.0


def _rise_chance(places: Sequence[int], window: Window) -> float:
    """The chance that a tag whose share stays the same is met so often in the newest third."""
    (before, all_before), (recent, all_recent) = window.shares(places, window.recent_from)
    return _chance_of_fewer(before, all_before, recent, all_recent)


def _quiet_chance(places: Sequence[int], window: Window, told_at: int) -> float:
    """The least chance that a tag whose share stays the same is met so seldom in the newest 10, 15 or 20 events.

    These are two thirds of all at most, and after the user said it; 1 where its share did not halve.
    """
    size = len(window.visits)
    least = 1.0
    for newest in QUIET_EVENTS:
        if 3 * newest > 2 * size or told_at > size - newest:
            break  # longer ones fit even less
        (before, all_before), (recent, all_recent) = window.shares(places, size - newest)
        if before and all_recent and recent / all_recent <= FALL * before / all_before:
            least = min(least, _chance_of_fewer(recent, all_recent, before, all_before))
    return least


def _chance_of_fewer(few: int, of_few: int, other: int, of_other: int) -> float:
    """The chance of so few visits or fewer on one side, of as many as both sides have, when all fall as they come.

    Fisher's exact test: the hypergeometric distribution, which holds for the small numbers a history has.
    """
    visits = few + other
    ways = sum(math.comb(of_few, count) * math.comb(of_other, visits - count) for count in range(few + 1))
    return ways / math.comb(of_few + of_other, visits)
