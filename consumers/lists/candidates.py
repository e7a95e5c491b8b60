"""Candidates: what the sources offer each user, each item once, with all the sources that gave it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Floats, Rows
from consumers.lists.runs import places_within

Bits = npt.NDArray[np.uint16]


class Source(IntFlag):
    """Where a candidate comes from; a candidate may have several."""

    VECTOR = 1
    INTEREST = 2
    NEIGHBOUR = 4
    FRESH = 8
    POPULAR = 16
    EXPLORATION = 32
    PINNED = 64
    CONCEPT = 128
    SEQUENCE = 256
    AGAIN = 512


NAMES: dict[Source, str] = {source: str(source.name).lower() for source in Source}


@dataclass(frozen=True)
class Offer:
    """Rows [users, m] from one source, -1 where it has none; of neighbours how close they are, and whose they are."""

    source: Source
    rows: Rows
    closeness: Floats | None = None
    origins: Rows | None = None


@dataclass(frozen=True)
class Candidates:
    """Rows [users, n] without repeats, -1 after the last; `sources` their bits, `closeness`, `origins` of neighbours.

    An origin is the row of the item that brought a neighbour, -1 for other candidates.
    """

    rows: Rows
    sources: Bits
    closeness: Floats
    origins: Rows

    def taken(self, places: Rows) -> "Candidates":
        """Those at these places [users, m], in that order."""
        return Candidates(
            np.take_along_axis(self.rows, places, axis=1),
            np.take_along_axis(self.sources, places, axis=1),
            np.take_along_axis(self.closeness, places, axis=1),
            np.take_along_axis(self.origins, places, axis=1),
        )

    def came_from(self, source: Source) -> npt.NDArray[np.bool_]:
        """Which of them that source gave, [users, n]."""
        return (self.sources & np.uint16(source)) > 0


@dataclass
class RowMarks:
    """Tells which of many rows are among a few, for one user after the other, without sorting any."""

    items: int
    _marks: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._marks = np.zeros(self.items + 1, np.bool_)  # the last stands for row -1

    def among(self, rows: Rows, few: Sequence[Rows]) -> npt.NDArray[np.bool_]:
        """For each user, which of their `rows` [users, m] are in their own `few`."""
        found = np.empty(rows.shape, np.bool_)
        for own, marked, into in zip(rows, few, found, strict=True):
            self._marks[marked] = True
            into[:] = self._marks[own]
            self._marks[marked] = False
        return found


def merge(offers: Sequence[Offer], blocked: Sequence[Rows], items: int) -> Candidates:
    """All that is offered, less each user's blocked rows. Candidates are in the order of their rows."""
    rows = np.concatenate([offer.rows for offer in offers], axis=1)
    rows = np.where(RowMarks(items).among(rows, blocked), -1, rows)
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    there = ordered >= 0
    first = there.copy()
    first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    starts = np.flatnonzero(first)
    counts = first.sum(axis=1)
    width = max(1, int(counts.max(initial=0)))
    users = np.repeat(np.arange(len(rows)), counts)
    places = places_within(counts)
    found = Candidates(
        np.full((len(rows), width), -1, np.int64),
        np.zeros((len(rows), width), np.uint16),
        np.zeros((len(rows), width), np.float32),
        np.full((len(rows), width), -1, np.int64),
    )
    if not len(starts):
        return found

    def gathered(column: npt.NDArray[np.generic], nothing: int) -> npt.NDArray[np.generic]:
        return np.where(there, np.take_along_axis(column, order, axis=1), nothing).ravel()

    found.rows[users, places] = ordered.ravel()[starts]
    bits = np.concatenate([np.full(offer.rows.shape, int(offer.source), np.uint16) for offer in offers], axis=1)
    found.sources[users, places] = np.bitwise_or.reduceat(gathered(bits, 0).astype(np.uint16), starts)
    closeness = np.concatenate([_or_nothing(offer.closeness, offer.rows, 0).astype(np.float32) for offer in offers], axis=1)
    found.closeness[users, places] = np.maximum.reduceat(gathered(closeness, 0), starts)
    origins = np.concatenate([_or_nothing(offer.origins, offer.rows, -1) for offer in offers], axis=1)
    found.origins[users, places] = np.maximum.reduceat(gathered(origins, -1), starts)
    return found


def _or_nothing(column: npt.NDArray[np.generic] | None, rows: Rows, nothing: int) -> npt.NDArray[np.generic]:
    return np.full(rows.shape, nothing) if column is None else column
