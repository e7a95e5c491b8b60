"""Sources of candidates. Each offers a batch of users some rows; none looks at what the others offer."""

from collections.abc import Mapping, Sequence

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.lists.candidates import Offer, Source
from consumers.lists.people import People
from consumers.lists.retrieval import exclude, score_items, top_rows
from consumers.lists.runs import places_within
from consumers.lists.shelf import Shelf
from consumers.search.vector_index import VectorIndex
from consumers.tag_table import TagTable

NEIGHBOURS_OF = 12
"""Liked items whose neighbours are offered: those with the most weight."""
OFFERED_NEIGHBOURS = 32
LEADERS = 12
"""Popular and fresh items offered to everyone."""
LEADERS_EACH = 8
"""Items offered for each tag or concept of a user."""
NAMES_ASKED = 4
"""Tags or concepts of a user that candidates are looked up for: the strongest ones liked."""


def scanned(users: People, shelf: Shelf, interest_weight: float, count: int, catalogue: Catalogue) -> Offer:
    """The best of the whole catalogue by all that a plain sum of parts can tell."""
    scores = score_items(users.queries, shelf.total, users.tastes, interest_weight, catalogue)
    exclude(scores, users.blocked)
    return Offer(Source.VECTOR, top_rows(scores, count, catalogue)[0])


def nearest(queries: Floats, shelf: Shelf, count: int, index: VectorIndex, catalogue: Catalogue) -> Offer:
    """Items whose vectors match the users'; nothing for a user nothing is known of."""
    known = queries.any(axis=1)
    rows = np.full((len(queries), count), -1, np.int64)
    if known.any():
        rows[known] = index.search(queries[known], count, shelf.shown, catalogue).rows
    return Offer(Source.VECTOR, rows)


def popular(users: People, shelf: Shelf) -> Offer:
    """What most people turn to now."""
    return Offer(Source.POPULAR, _to_everyone(shelf.leaders(shelf.popularity, LEADERS), users))


def fresh(users: People, shelf: Shelf) -> Offer:
    """What was published last."""
    return Offer(Source.FRESH, _to_everyone(shelf.leaders(shelf.freshness, LEADERS), users))


def carrying(source: Source, names: Sequence[Sequence[str]], table: TagTable, shelf: Shelf) -> Offer:
    """Leading items that carry one of each user's `names`."""
    width = LEADERS_EACH * max(1, max(map(len, names), default=1))
    rows = np.full((len(names), width), -1, np.int64)
    for own, asked in zip(rows, names, strict=True):
        at = 0
        for name in asked:
            found = shelf.leaders_with(table, name, LEADERS_EACH)
            own[at : at + len(found)] = found
            at += len(found)
    return Offer(source, rows)


def strongest(tastes: Sequence[Mapping[str, float]]) -> list[list[str]]:
    """The names each user likes most; a taste has its strongest first."""
    return [[name for name, weight in taste.items() if weight > 0][:NAMES_ASKED] for taste in tastes]


def neighbours(users: People, catalogue: Catalogue, shelf: Shelf) -> Offer:
    """What those turn to who turned to the user's liked items; closeness is in 0..1, weighted by how much each is liked.

    The origin of a neighbour is the liked item that adds most to it.
    """
    liked = users.liked[:, :NEIGHBOURS_OF]
    found, closeness = catalogue.covisitation.neighbours(liked)
    weights = users.liked_weights[:, :NEIGHBOURS_OF]
    shares = weights / np.maximum(weights.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    closeness = np.where(shelf.shown[found], closeness, 0)
    rows = found.reshape(len(users), -1)
    adds = (closeness * shares[:, :, None]).reshape(len(users), -1)
    origins = np.repeat(liked, found.shape[2], axis=1)
    return _summed(rows, adds, origins, catalogue)


def expected(users: People, shelf: Shelf) -> Offer:
    """What a learned user_encoder expects next."""
    return Offer(Source.SEQUENCE, np.where(shelf.shown[users.expected], users.expected, -1))


def again(users: People, shelf: Shelf) -> Offer:
    """What users took before, where they may be shown it again."""
    return Offer(Source.AGAIN, np.where(shelf.shown[users.own.rows], users.own.rows, -1))


def _summed(rows: Rows, adds: Floats, origins: Rows, catalogue: Catalogue) -> Offer:
    """Each row once with the sum of what it got, and the origin that added most; the closest of them."""
    items = len(catalogue)
    users = np.arange(len(rows))[:, None]
    there = adds > 0
    keys = (users * items + rows)[there]
    order = np.lexsort((origins[there], -adds[there], keys))
    keys, gained, best = keys[order], adds[there][order], origins[there][order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first)
    offered = np.full((len(rows), OFFERED_NEIGHBOURS), -1, np.int64)
    closeness, brought_by = np.zeros(offered.shape, np.float32), np.full(offered.shape, -1, np.int64)
    if len(starts):
        sums = np.minimum(np.add.reduceat(gained, starts), 1.0)
        owners, found = np.divmod(keys[starts], items)
        by_owner = np.lexsort((catalogue.tie_break[found], -sums, owners))
        owners = owners[by_owner]
        counts = np.bincount(owners, minlength=len(rows))
        places = places_within(counts)
        kept = places < OFFERED_NEIGHBOURS
        at, chosen = (owners[kept], places[kept]), by_owner[kept]
        offered[at], closeness[at], brought_by[at] = found[chosen], sums[chosen], best[starts][chosen]
    return Offer(Source.NEIGHBOUR, offered, closeness, brought_by)


def _to_everyone(rows: Rows, users: People) -> Rows:
    return np.broadcast_to(rows, (len(users), len(rows)))
