"""Habits: when, where, at what price and of whom a user picks things. Stated only when clear, and at most one of each kind."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from consumers.statements.clean_text import clean
from consumers.statements.feedback import heard_weight
from consumers.statements.hidden import Hidden
from consumers.statements.vocabulary import Vocabulary
from schemas.messages import EventType, Item
from schemas.state import HistoryEvent, UserState

LEAST_SHARE = 0.6
"""A habit holds in at least this share of what could show it."""
LEAST_EVENTS = 10
LEAST_DAYS = 4
"""For times of day and formats: fewer events, or events of fewer days, are a few sittings and no habit."""
LEAST_BUYS = 4
WIDEST_BAND = 4.0
"""A price band's upper end is at most this many times its lower end."""
LEAST_ITEMS = 3
LEAST_MAKER_EVENTS = 4
"""For brands and authors."""
MAX_EVIDENCE = 5
HALF_SURE_EVENTS = 4.0
MAX_NAME = 60

DAY_H = 24.0
MS_PER_H = 3_600_000.0
TIMES_OF_DAY = ((5, "night"), (12, "morning"), (17, "afternoon"), (22, "evening"), (24, "night"))
"""Each name lasts until its hour."""
AUTHOR_ATTRIBUTES = ("creator", "author", "outlet")
STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""The leading digits of a price band's ends."""


class Rules(Protocol):
    """The part of `InterestRules` that habits follow."""

    @property
    def type_weights(self) -> Mapping[EventType, float]:
        """What one event of a type says about its item."""

    @property
    def utc_offset_h(self) -> float:
        """What the users' clocks are ahead of UTC."""


class Habit(NamedTuple):
    """A habit's topic and value, the share of events it holds in, how sure it is, and its newest events."""

    topic: str
    value: str
    share: float
    confidence: float
    event_ids: tuple[str, ...]


class _Seen(NamedTuple):
    """An event that can show a habit, with its item."""

    event: HistoryEvent
    item: Item
    weight: float


def habits(state: UserState, items: Mapping[str, Item], rules: Rules, vocabulary: Vocabulary) -> list[Habit]:
    """The user's habits: time_of_day, price_band, format, brand, author, in this order.

    They rest on the history alone, and on nothing the user muted or refused; an edit or mute of a habit's value hides it.
    """
    hidden = Hidden.of(state)
    known = [(event, items.get(event.item_id)) for event in state.events if event.item_id is not None]
    seen = [
        _Seen(event, item, heard_weight(event, rules.type_weights))
        for event, item in known
        if item is not None and not hidden.hides(item)
    ]
    picked = [one for one in seen if one.weight > 0]
    found = [
        _time_of_day(state.events, rules.utc_offset_h),
        _price_band(seen),
        _format(picked, vocabulary, rules.utc_offset_h),
        _maker("brand", seen, lambda item: _names(item, ("brand",))),
        _maker("author", seen, lambda item: _names(item, AUTHOR_ATTRIBUTES)),
    ]
    return [habit for habit in found if habit is not None and habit.value.casefold() not in hidden.names]


def time_of_day(time_ms: int, utc_offset_h: float) -> str:
    """Morning is from 5 to 12, afternoon to 17, evening to 22; the rest is night."""
    hour = (time_ms / MS_PER_H + utc_offset_h) % DAY_H
    return next(name for until, name in TIMES_OF_DAY if hour < until)


def _time_of_day(events: Sequence[HistoryEvent], utc_offset_h: float) -> Habit | None:
    """One time of day for most of what the user does, whatever it is."""
    named = [(time_of_day(event.event_time_ms, utc_offset_h), event) for event in events]
    return _most("time_of_day", named, utc_offset_h)


def _format(picked: Sequence[_Seen], vocabulary: Vocabulary, utc_offset_h: float) -> Habit | None:
    """One format for most of what the user picks, where there is a choice."""
    if len({*vocabulary.formats, *(one.item.domain for one in picked)}) < 2:
        return None
    return _most("format", [(one.item.domain, one.event) for one in picked], utc_offset_h)


def _most(topic: str, named: Sequence[tuple[str, HistoryEvent]], utc_offset_h: float) -> Habit | None:
    """The name most events have, if most of the days' sittings have it too."""
    counts = Counter(name for name, _ in named)
    if len(named) < LEAST_EVENTS:
        return None
    name = max(sorted(counts), key=lambda one: counts[one])
    events = [event for own, event in named if own == name]
    sittings = {(own, math.floor((event.event_time_ms / MS_PER_H + utc_offset_h) / DAY_H)) for own, event in named}
    days = sum(own == name for own, _ in sittings)
    share = min(len(events) / len(named), days / len(sittings))
    if share < LEAST_SHARE or days < LEAST_DAYS:
        return None
    return _habit(topic, name, share, events)


def _price_band(seen: Sequence[_Seen]) -> Habit | None:
    """The narrowest band that holds most of what the user bought or carted and did not send back, each item once."""
    returned = {one.item.item_id for one in seen if one.event.type == "return"}
    bought: dict[str, _Seen] = {}
    for one in seen:
        if one.event.type in ("purchase", "add_to_cart") and one.item.item_id not in returned and _price(one.item):
            bought[one.item.item_id] = one
    currencies = Counter(_currency(one.item) for one in bought.values())
    if not currencies:
        return None
    currency = max(sorted(currencies), key=lambda name: currencies[name])
    priced = sorted((_price(one.item), one.event) for one in bought.values() if _currency(one.item) == currency)
    needed = max(LEAST_BUYS, math.ceil(LEAST_SHARE * len(bought)))
    bands = [(priced[at][0], priced[at + needed - 1][0]) for at in range(len(priced) - needed + 1)]
    if not bands:
        return None
    cheapest, dearest = min(bands, key=lambda band: (band[1] / band[0], band[0]))
    low, high = _rounded(cheapest, up=False), _rounded(dearest, up=True)
    inside = sorted(event for price, event in priced if low <= price <= high)
    if high > WIDEST_BAND * low:
        return None
    return _habit("price_band", f"{_plain(low)}-{_plain(high)} {currency}", len(inside) / len(bought), inside)


def _plain(number: float) -> str:
    """As people write it: no exponent, no zeros at the end."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _price(item: Item) -> float:
    """The item's price; 0 where it has none, or no currency."""
    price = item.attributes.get("price")
    known = isinstance(price, int | float) and not isinstance(price, bool) and 0.01 <= price < 1e6 and _currency(item)
    return float(price) if known else 0.0  # type: ignore[arg-type]


def _currency(item: Item) -> str:
    currency = item.attributes.get("currency")
    return clean(currency, 8) if isinstance(currency, str) else ""


def _rounded(price: float, *, up: bool) -> float:
    """The next price of few digits, up or down."""
    scale = 10.0 ** math.floor(math.log10(price))
    lead = price / scale
    fits = [step for step in STEPS if (step >= lead - 1e-9 if up else step <= lead + 1e-9)]
    return round((min(fits) if up else max(fits)) * scale, 2)


def _maker(topic: str, seen: Sequence[_Seen], names: Callable[[Item], Sequence[str]]) -> Habit | None:
    """One name behind most of what the user picked of named things, and hardly anything of it turned down."""
    of_name: dict[str, list[_Seen]] = {}
    for one in seen:
        for name in names(one.item):
            of_name.setdefault(name, []).append(one)
    picked = {name: [one for one in own if one.weight > 0] for name, own in of_name.items()}
    total = len({one.event.event_id for own in picked.values() for one in own})
    if not total:
        return None
    name = max(sorted(picked), key=lambda one: len(picked[one]))
    own, share = picked[name], len(picked[name]) / total
    enough = len(own) >= LEAST_MAKER_EVENTS and len({one.item.item_id for one in own}) >= LEAST_ITEMS
    if not enough or share < LEAST_SHARE or len(own) < LEAST_SHARE * len([one for one in of_name[name] if one.weight]):
        return None
    return _habit(topic, name, share, [one.event for one in own])


def _names(item: Item, attributes: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(_stated(item, attributes)))


def _stated(item: Item, attributes: Sequence[str]) -> Iterator[str]:
    for attribute in attributes:
        name = item.attributes.get(attribute)
        if isinstance(name, str) and 0 < len(name) <= MAX_NAME and clean(name, MAX_NAME) == name:
            yield name


def _habit(topic: str, value: str, share: float, events: Sequence[HistoryEvent]) -> Habit:
    confidence = share * len(events) / (len(events) + HALF_SURE_EVENTS)
    newest = tuple(event.event_id for event in reversed(events[-MAX_EVIDENCE:]))
    return Habit(topic, value, share, round(confidence, 3), newest)
