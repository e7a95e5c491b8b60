"""A site's own rules, joined with the catalogue: what is boosted, buried, pinned, capped and limited by age."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from consumers.catalogue import ALWAYS_MS, Catalogue, Floats, Rows, RowWatch
from schemas.messages import Item
from schemas.state import UserState

NO_AGE = -1
"""The age of a user who did not tell: below every limit."""


class Match(NamedTuple):
    """Which items a rule speaks of: those that fulfil all that is given. Values and tags are compared case-folded."""

    items: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    attributes: Mapping[str, frozenset[str]] = {}

    def fits(self, item: Item) -> bool:
        """Whether the rule speaks of this item."""
        return (
            (not self.items or item.item_id in self.items)
            and (not self.tags or any(tag.casefold() in self.tags for tag in item.tags))
            and (not self.domains or item.domain in self.domains)
            and (not self.languages or item.language in self.languages)
            and all(attribute_text(item, name) in values for name, values in self.attributes.items())
        )


class Boost(NamedTuple):
    """Adds to the score of the items it matches; a negative amount buries them."""

    name: str
    match: Match
    amount: float
    from_ms: int = 0
    until_ms: int = ALWAYS_MS


class Pin(NamedTuple):
    """Puts an item at a place, the first is 1, in the lists of these surfaces; of all when none is named."""

    name: str
    item_id: str
    place: int
    surfaces: frozenset[str] = frozenset()
    from_ms: int = 0
    until_ms: int = ALWAYS_MS


class GroupCap(NamedTuple):
    """At most `most` items of a list have the same value of an attribute, or the same first tag if `attribute` is `tag`."""

    name: str
    attribute: str
    most: int


class AgeLimit(NamedTuple):
    """The items it matches are shown to users of this age and more only: never to one who did not say."""

    name: str
    match: Match
    least_age: int


class RuleBook(NamedTuple):
    """All rules of a site, in the order of its file."""

    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    caps: tuple[GroupCap, ...] = ()
    age_limits: tuple[AgeLimit, ...] = ()


class RowRules:
    """A rule book by catalogue row. An item's change counts from the next `follow` on; times count at once."""

    def __init__(self, book: RuleBook) -> None:
        self.book = book
        self._watch: RowWatch | None = None
        self._boosted = np.zeros((0, len(book.boosts)), np.bool_)
        self._least_age = np.zeros(0, np.int16)
        self._groups = np.zeros((0, len(book.caps)), np.int64)
        self._group_numbers: list[dict[str, int]] = [{} for _ in book.caps]

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue changed; it is always the same one."""
        book = self.book
        if not (book.boosts or book.caps or book.age_limits):
            return
        self._watch = self._watch or catalogue.watch("items")
        changed = self._watch.drain()
        if len(catalogue) > len(self._least_age):
            self._grow(2 * len(catalogue))
        for row in changed[changed < len(catalogue)].tolist():
            item = catalogue.items[catalogue.item_ids[row]]
            self._boosted[row] = [boost.match.fits(item) for boost in book.boosts]
            self._least_age[row] = max(
                (limit.least_age for limit in book.age_limits if limit.match.fits(item)), default=NO_AGE
            )
            self._groups[row] = [self._group(number, item) for number in range(len(book.caps))]

    def boosts(self, items: int, now_ms: int) -> Floats:
        """What the rules in force add to each of the first rows."""
        added = np.zeros(items, np.float32)
        for column, boost in enumerate(self.book.boosts):
            if boost.from_ms <= now_ms < boost.until_ms:
                added += np.float32(boost.amount) * self._boosted[:items, column]
        return added

    def boosts_of(self, row: int, now_ms: int) -> list[Boost]:
        """The rules in force that move this row."""
        return [
            boost
            for boost, fits in zip(self.book.boosts, self._boosted[row] if self.book.boosts else (), strict=True)
            if fits and boost.from_ms <= now_ms < boost.until_ms
        ]

    def hidden(self, states: Sequence[UserState], items: int) -> list[Rows]:
        """For each user the rows that their age keeps from them."""
        if not self.book.age_limits:
            return [_NONE] * len(states)
        limits = self._least_age[:items]
        ages = [NO_AGE if s.attributes is None or s.attributes.age is None else s.attributes.age for s in states]
        by_age = {age: np.flatnonzero((limits > age) & (limits > NO_AGE)) for age in set(ages)}
        return [by_age[age] for age in ages]

    def pins(self, surface: str, now_ms: int) -> list[Pin]:
        """The pins in force on a surface, the first of each place and item."""
        places: dict[int, Pin] = {}
        for pin in self.book.pins:
            in_force = pin.from_ms <= now_ms < pin.until_ms and (not pin.surfaces or surface in pin.surfaces)
            if in_force and pin.item_id not in {other.item_id for other in places.values()}:
                places.setdefault(pin.place, pin)
        return sorted(places.values(), key=lambda pin: pin.place)

    def caps(self, rows: Rows) -> list[tuple[npt.NDArray[np.int64], int]]:
        """For each cap the group of each row, 0 for none, and how many of a group may be in a list."""
        there = rows >= 0
        return [
            (np.where(there, self._groups[np.maximum(rows, 0), column], 0), cap.most)
            for column, cap in enumerate(self.book.caps)
        ]

    def _group(self, column: int, item: Item) -> int:
        attribute = self.book.caps[column].attribute
        value = (item.tags[0].casefold() if item.tags else "") if attribute == "tag" else attribute_text(item, attribute)
        numbers = self._group_numbers[column]
        return numbers.setdefault(value, len(numbers) + 1) if value else 0

    def _grow(self, size: int) -> None:
        more = size - len(self._least_age)
        self._boosted = np.concatenate([self._boosted, np.zeros((more, len(self.book.boosts)), np.bool_)])
        self._least_age = np.concatenate([self._least_age, np.full(more, NO_AGE, np.int16)])
        self._groups = np.concatenate([self._groups, np.zeros((more, len(self.book.caps)), np.int64)])


def attribute_text(item: Item, name: str) -> str:
    """An attribute's value as rules compare it; empty where the item has none."""
    value = item.attributes.get(name)
    return "" if value is None else str(value).casefold()


_NONE: Rows = np.empty(0, np.int64)
NO_RULES = RowRules(RuleBook())
