"""Exact search: one matrix product per batch of queries. For catalogues of some ten thousand items nothing is faster."""

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.search.largest import best_first, largest
from consumers.search.vector_index import Found, Mask


class ExactIndex:
    """The VectorIndex that scans the catalogue's own matrix, so there is nothing to keep up to date."""

    def follow(self, catalogue: Catalogue) -> None:
        """Nothing is to do: the matrix that is searched is the catalogue's."""

    def search(self, queries: Floats, count: int, allowed: Mask, catalogue: Catalogue) -> Found:
        """See `VectorIndex.search`."""
        return scan(queries, count, allowed, catalogue)

    def wait(self) -> None:
        """Nothing is ever built."""


def scan(queries: Floats, count: int, allowed: Mask, catalogue: Catalogue) -> Found:
    """`VectorIndex.search` by comparing each query with every vector, block by block."""
    rows, found = nothing(len(queries), count)
    for start, block in catalogue.blocks():
        scores = queries @ block.T
        scores[:, ~allowed[start : start + len(block)]] = -np.inf
        near = largest(scores, min(count, len(block)))
        rows = np.concatenate([rows, near + start], axis=1)
        found = np.concatenate([found, np.take_along_axis(scores, near, axis=1)], axis=1)
        rows, found = _best(rows, found, count, catalogue)
    return Found(rows, found)


def scan_rows(queries: Floats, count: int, rows: Rows, catalogue: Catalogue) -> Found:
    """The same among a few rows [m]."""
    if not len(rows):
        return nothing(len(queries), count)
    scores = queries @ catalogue.vectors(rows).T
    near = largest(scores, min(count, len(rows)))
    missing = nothing(len(queries), count)
    found = np.concatenate([np.take_along_axis(scores, near, axis=1), missing.similarities], axis=1)
    return Found(*_best(np.concatenate([rows[near], missing.rows], axis=1), found, count, catalogue))


def nothing(queries: int, count: int) -> Found:
    """An answer without any item."""
    return Found(np.full((queries, count), -1, np.int64), np.full((queries, count), -np.inf, np.float32))


def _best(rows: Rows, found: Floats, count: int, catalogue: Catalogue) -> tuple[Rows, Floats]:
    rows, found = best_first(rows, found, catalogue.tie_break)
    return rows[:, :count], found[:, :count]
