"""Retrieval: every item of the catalogue scored for a batch of users, and the best of them.

Exact, with one matrix product per batch: as all filters are applied before the cut, they can never empty a list.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.search.largest import best_first, largest

FEW_USERS = 16
"""Users up to which the product is quicker the other way round; see `_products`."""


def score_items(
    queries: Floats, item_scores: Floats, tastes: Sequence[Mapping[str, float]], interest_weight: float, catalogue: Catalogue
) -> Floats:
    """Score of every item for each user, float32 [users, n].

    Query times item vector, plus the item's own score (`item_scores` [n], -inf where it may not be shown), plus
    `interest_weight` times the match of tags: the cosine of the user's taste (of length 1) and the item's tags (all alike).
    """
    scores = _products(queries, catalogue)
    scores += item_scores
    shares = interest_weight / np.sqrt(np.maximum(catalogue.tag_counts, 1))
    matches: dict[str, tuple[Rows, npt.NDArray[np.float64]]] = {}  # rows and shares of each tag, once for the batch
    for own, taste in zip(scores, tastes, strict=True):
        if not taste:
            continue
        for tag in taste:
            if tag not in matches:
                rows = catalogue.rows_with_tag(tag)
                matches[tag] = rows, shares[rows]
        rows = np.concatenate([matches[tag][0] for tag in taste])
        added = np.concatenate([matches[tag][1] * weight for tag, weight in taste.items()])
        own += np.bincount(rows, added, minlength=len(own)).astype(np.float32)
    return scores


def _products(queries: Floats, catalogue: Catalogue) -> Floats:
    """Query times vector, C-contiguous [users, n]; for few users with the matrix first, which BLAS need not copy then."""
    products = np.empty((len(queries), len(catalogue)), np.float32)
    for start, block in catalogue.blocks():
        into = products[:, start : start + len(block)]
        if len(queries) <= 2:
            for own, query in zip(into, queries, strict=True):
                own[:] = block @ query
        else:
            into[:] = (block @ queries.T).T if len(queries) <= FEW_USERS else queries @ block.T
    return products


def exclude(scores: Floats, blocked: Sequence[Rows]) -> None:
    """Set each user's blocked rows to -inf, in place."""
    for own, rows in zip(scores, blocked, strict=True):
        own[rows] = -np.inf


def top_rows(scores: Floats, count: int, catalogue: Catalogue) -> tuple[Rows, Floats]:
    """Rows and scores of each user's best items, best first, [users, min(count, n)]; row -1 where no item is left.

    Equal scores are ordered by item id alone, not by row.
    """
    rows = largest(scores, min(count, scores.shape[1]))
    return best_first(rows, np.take_along_axis(scores, rows, axis=1), catalogue.tie_break)
