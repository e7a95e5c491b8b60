"""The catalogue as every profiler holds it: items joined with their vectors, in arrays that are searched as they stand."""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from consumers.covisitation import CoVisitation
from consumers.item_vectors import Floats as Floats
from consumers.item_vectors import Halves as Halves
from consumers.item_vectors import ItemVectors
from consumers.item_vectors import Rows as Rows
from consumers.popularity import Popularity
from consumers.returns import Returns
from consumers.statements.clean_text import clean
from consumers.statements.vocabulary import Vocabulary
from consumers.tag_table import TagTable
from schemas.errors import BadMessage
from schemas.messages import Item, ItemVector, Language
from schemas.tensors import EMBEDDING_DIM

Times = npt.NDArray[np.int64]

FIRST_CAPACITY = 1024
ALWAYS_MS = np.iinfo(np.int64).max

_NOT_NOTED: set[str] = set()
_FACTS = np.dtype(
    [
        ("published_at_ms", np.int64),
        ("available_from_ms", np.int64),
        ("available_until_ms", np.int64),
        ("tie_break", np.uint64),
        ("tag_count", np.int64),
    ]
)


@dataclass
class RowWatch:
    """Rows that changed since they were last drained."""

    what: str
    rows: set[int]

    def drain(self) -> Rows:
        """These rows, ascending; those beyond the catalogue's last row are gone."""
        rows = np.array(sorted(self.rows), dtype=np.int64)
        self.rows.clear()
        return rows


class Catalogue:
    """Items that can be recommended, one row each: an item has a row while both its metadata and its vector are known.

    Rows are contiguous, 0 to `len(self) - 1`, and hold until the next put or remove: a removed item's row goes to the last
    item.
    """

    def __init__(self, dim: int = EMBEDDING_DIM) -> None:
        self.dim = dim
        self.item_ids: list[str] = []
        """Item id by row."""
        self.popularity = Popularity(FIRST_CAPACITY)
        self.covisitation = CoVisitation(FIRST_CAPACITY)
        self.returns = Returns(FIRST_CAPACITY)
        self.vocabulary = Vocabulary()
        """The tags of `items`, as they are found in text."""
        self._items: dict[str, Item] = {}
        self._vectors_without_item: dict[str, Floats] = {}
        self._rows: dict[str, int] = {}
        self._row_by_number: dict[int, int] = {}
        self._vectors = ItemVectors(FIRST_CAPACITY, dim)
        self._facts = np.zeros(FIRST_CAPACITY, _FACTS)
        self.languages: Counter[Language] = Counter()
        """Languages of `items`, with how many are in each."""
        self.tag_table = TagTable(FIRST_CAPACITY)
        self._arrivals: dict[str, None] = {}
        self._watches: list[RowWatch] = []

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def items(self) -> Mapping[str, Item]:
        """Every item known, those without a vector included."""
        return self._items

    @property
    def matrix(self) -> Floats:
        """Vectors of unit length by row, float32 [n, dim], valid until the next put or remove; a copy if it is large."""
        return self._vectors.matrix(len(self))

    @property
    def halves(self) -> Halves:
        """As `matrix`, in float16 and never a copy."""
        return self._vectors.halves[: len(self)]

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """`matrix` in pieces that fit memory: the first row of each, and its vectors."""
        return self._vectors.blocks(len(self))

    @property
    def published_at_ms(self) -> Times:
        """Publication times by row; 0 where unknown."""
        return self._column("published_at_ms")

    @property
    def tie_break(self) -> npt.NDArray[np.uint64]:
        """A number by row that depends on the item id alone: orders items of equal score alike in every worker."""
        column: npt.NDArray[np.uint64] = self._facts["tie_break"][: len(self)]
        return column

    @property
    def tag_counts(self) -> Times:
        """Number of distinct tags by row."""
        return self._column("tag_count")

    def tags(self, row: int) -> tuple[str, ...]:
        """The row's distinct tags, case-folded."""
        return self.tag_table.names(row)

    def available(self, now_ms: int) -> npt.NDArray[np.bool_]:
        """By row, whether the item may be shown at `now_ms`: from `available_from_ms` on and before `available_until_ms`."""
        return (self._column("available_from_ms") <= now_ms) & (now_ms < self._column("available_until_ms"))

    def rows(self, item_ids: Iterable[str | None]) -> Rows:
        """Rows of these items, int64 in their order; -1 where the item is not recommendable."""
        row_of = self._rows.get
        return np.array([row_of(item_id, -1) for item_id in item_ids], dtype=np.int64)  # type: ignore[arg-type]

    def numbers(self, rows: Rows) -> npt.NDArray[np.int64]:
        """How models know these items, int64 in the shape of `rows`: numbers made of their ids alone; 0 for row -1."""
        if not len(self):
            return np.zeros(rows.shape, np.int64)
        numbers: npt.NDArray[np.int64] = np.where(rows >= 0, self.tie_break.view(np.int64)[rows], 0)
        return numbers

    def rows_of_numbers(self, numbers: npt.NDArray[np.int64]) -> Rows:
        """Rows of the items that models know by these numbers, in their shape; -1 where the item is not recommendable."""
        row_of = self._row_by_number.get
        found = np.array([row_of(number, -1) for number in numbers.ravel().tolist()], np.int64)
        return found.reshape(numbers.shape)

    def rows_with_tag(self, tag: str) -> Rows:
        """Rows of the items that carry this tag, whatever its letter case; int64, ascending."""
        return self.tag_table.rows(tag.casefold(), len(self))

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of these rows, float32 [*rows.shape, dim]; zeros for row -1."""
        return self._vectors.take(rows)

    def half_vectors(self, rows: Rows) -> Halves:
        """As `vectors`, in float16: what a model is sent."""
        return np.take(self._vectors.halves, rows, axis=0, mode="wrap")

    def observe(self, item_ids: Sequence[str | None], weights: Sequence[float], time_ms: int | Sequence[int]) -> None:
        """Count interest in items towards their popularity; weights below zero and items without a row are ignored."""
        self.popularity.observe(self.rows(item_ids), np.asarray(weights, np.float64), np.asarray(time_ms, np.float64))

    def drain_arrivals(self) -> list[str]:
        """Ids of the items that became recommendable since the last call, in order of arrival."""
        arrivals = list(self._arrivals)
        self._arrivals.clear()
        return arrivals

    def watch(self, what: Literal["vectors", "items"]) -> "RowWatch":
        """Collects, from now on and with all that is there, the rows whose vector, or whose item, is another than before."""
        watch = RowWatch(what, set(range(len(self))))
        self._watches.append(watch)
        return watch

    def put_item(self, item: Item) -> None:
        """Add an item or replace its metadata."""
        row = self._rows.get(item.item_id)
        if row is not None:
            self.tag_table.clear(row)
        item = lean(item)
        self.vocabulary.add(item)  # before its forerunner goes, so that tags they share are not forgotten in between
        if item.item_id in self._items:
            self.vocabulary.remove(self._items[item.item_id])
            self._forget_language(self._items[item.item_id])
        self._items[item.item_id] = item
        self.languages[item.language] += 1
        if row is not None:
            self._describe(row, item)
        elif item.item_id in self._vectors_without_item:
            self._add_row(item, self._vectors_without_item.pop(item.item_id))

    def put_vector(self, message: ItemVector) -> None:
        """Add or replace an item's vector, scaled to unit length.

        Raises:
            BadMessage: the vector's dimension is not the catalogue's, or it has no direction.
        """
        vector = self._unit_vector(message)
        row = self._rows.get(message.item_id)
        item = self._items.get(message.item_id)
        if row is not None:
            self._set_vector(row, vector)
        elif item is not None:
            self._add_row(item, vector)
        else:
            self._vectors_without_item[message.item_id] = vector

    def remove_item(self, item_id: str) -> None:
        """Forget an item's metadata; its vector waits for the item to come back, or for its own removal."""
        row = self._rows.get(item_id)
        if row is not None:
            vector = self.vectors(np.array(row)).copy()
            self._remove_row(row)
            self._vectors_without_item[item_id] = vector
        item = self._items.pop(item_id, None)
        if item is not None:
            self.vocabulary.remove(item)
            self._forget_language(item)

    def remove_vector(self, item_id: str) -> None:
        """Forget an item's vector: the item is known, but not recommended."""
        row = self._rows.get(item_id)
        if row is not None:
            self._remove_row(row)
        self._vectors_without_item.pop(item_id, None)

    def _forget_language(self, item: Item) -> None:
        self.languages[item.language] -= 1
        if not self.languages[item.language]:
            del self.languages[item.language]

    def _column(self, name: str) -> Times:
        column: Times = self._facts[name][: len(self)]
        return column

    def _unit_vector(self, message: ItemVector) -> Floats:
        vector = np.asarray(message.vector, np.float64)
        if vector.shape != (self.dim,):
            detail = (
                f"vector of {message.item_id!r} has {vector.size} dimensions, not {self.dim}: another text_encoder wrote it"
            )
            raise BadMessage("wrong_dimension", f"{detail}; encode the catalogue again")
        largest = np.abs(vector).max()
        if not (np.isfinite(largest) and largest > 0):
            raise BadMessage("no_direction", f"vector of {message.item_id!r} is zero or not finite; encode the item again")
        scaled = vector / largest  # first, so that the norm of very large or small numbers stays finite
        unit: Floats = (scaled / np.linalg.norm(scaled)).astype(np.float32)
        return unit

    def _add_row(self, item: Item, vector: Floats) -> None:
        row = len(self.item_ids)
        if row + 1 >= self._vectors.capacity:
            self._grow()
        self.item_ids.append(item.item_id)
        self.covisitation.add(row)
        self._rows[item.item_id] = row
        self._set_vector(row, vector)
        number = item_number(item.item_id)
        self._facts["tie_break"][row] = number % 2**64
        self._row_by_number[number] = row
        self._describe(row, item)
        self._arrivals[item.item_id] = None

    def _set_vector(self, row: int, vector: Floats) -> None:
        self._vectors.set(row, vector)
        self._tell("vectors", row)

    def _tell(self, what: str, row: int) -> None:
        for watch in self._watches:
            if watch.what == what:
                watch.rows.add(row)

    def _grow(self) -> None:
        capacity = 2 * self._vectors.capacity
        self._vectors.grow(capacity, len(self))
        facts = np.zeros(capacity, _FACTS)
        facts[: len(self)] = self._facts[: len(self)]
        self._facts = facts
        self.popularity.grow(capacity)
        self.covisitation.grow(capacity)
        self.returns.grow(capacity)
        self.tag_table.grow(capacity)

    def _describe(self, row: int, item: Item) -> None:
        self._facts["published_at_ms"][row] = item.published_at_ms
        self._facts["available_from_ms"][row] = item.available_from_ms or 0
        self._facts["available_until_ms"][row] = ALWAYS_MS if item.available_until_ms is None else item.available_until_ms
        self._facts["tag_count"][row] = self.tag_table.set(row, item.tags)
        self._tell("items", row)

    def _remove_row(self, row: int) -> None:
        last = len(self) - 1
        item_id, moved_id = self.item_ids[row], self.item_ids[last]
        self.tag_table.clear(row)
        if row != last:
            self.tag_table.clear(last)
            self._set_vector(row, self.vectors(np.array(last)))
            self._facts[row] = self._facts[last]
            self.item_ids[row] = moved_id
            self._rows[moved_id] = row
            self._row_by_number[item_number(moved_id)] = row
            self._describe(row, self._items[moved_id])
        self.popularity.move(last, row)
        self.covisitation.move(last, row)
        self.returns.move(last, row)
        self._tell("vectors", last)
        self._tell("items", last)
        self.item_ids.pop()
        del self._rows[item_id]
        del self._row_by_number[item_number(item_id)]
        self._arrivals.pop(item_id, None)


def item_number(item_id: str) -> int:
    """A number of 64 bits, with a sign and never 0, made of the id alone: how models know an item."""
    digest = hashlib.blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1


def lean(item: Item) -> Item:
    """The same item in three fifths of the memory, as millions are kept, with tags as people see them: so they can be muted.

    pydantic notes in each which fields were given; and each has a string of its own for tags that thousands share.
    """
    fields = {**item.__dict__, "tags": [sys.intern(plain) for tag in item.tags if (plain := clean(tag))]}
    return Item.model_construct(_NOT_NOTED, **fields)
