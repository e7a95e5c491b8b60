"""Policy: what may never be in a user's list, and how alike its items may be."""

from collections.abc import Iterator

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from schemas.state import UserState

NO_ROWS: Rows = np.empty(0, np.int64)
LAST_CHOICE = np.float32(-1e9)


def refused_rows(state: UserState, catalogue: Catalogue) -> Rows:
    """Rows the user said they do not want, perhaps with repeats: muted items, and items with a muted or refused tag."""
    if not (state.muted_items or state.muted_tags or state.edits):
        return NO_ROWS
    muted = catalogue.rows(state.muted_items)
    return np.concatenate([muted[muted >= 0], *(catalogue.rows_with_tag(tag) for tag in _refused_tags(state))])


def blocked_rows(state: UserState, catalogue: Catalogue) -> Rows:
    """Rows the user is never shown, perhaps with repeats: refused ones, and items with any event of theirs on them."""
    counted = state.items  # all but a few of the history
    seen = catalogue.rows([*counted, *(event.item_id for event in state.events if event.item_id not in counted)])
    return np.concatenate([seen[seen >= 0], refused_rows(state, catalogue)])


def _refused_tags(state: UserState) -> Iterator[str]:
    yield from state.muted_tags
    for topic, stance in state.edits.items():
        if stance == "not_interested":
            yield topic


def diversify(rows: Rows, scores: Floats, top_k: int, dial: float, catalogue: Catalogue) -> Rows:
    """The places of the items to show among `rows`, ascending, [users, min(top_k, width)]: maximal marginal relevance.

    `rows` [users, width] are best first, -1 where there is none. With `dial` 0 the best are taken; towards 1, items unlike
    those taken before. Every row above -1 is taken before any -1, and what is taken stays in the order of its score.
    """
    users, width = rows.shape
    top_k = min(top_k, width)
    if dial == 0 or top_k == width:
        return np.broadcast_to(np.arange(top_k), (users, top_k))
    vectors = catalogue.vectors(rows)
    likeness = vectors @ vectors.transpose(0, 2, 1)
    likeness *= np.float32(dial)
    relevance = np.where(rows >= 0, scores, 0) * np.float32(1 - dial)
    relevance[rows < 0] = LAST_CHOICE
    nearest = np.zeros_like(relevance)
    taken = np.empty((users, top_k), np.int64)
    everyone = np.arange(users)
    for place in range(top_k):
        pick = (relevance - nearest).argmax(axis=1)
        taken[:, place] = pick
        relevance[everyone, pick] = -np.inf
        np.maximum(nearest, likeness[everyone, pick], out=nearest)
    taken.sort(axis=1)
    return taken
