"""Policy: what may never be in a user's list."""

from collections.abc import Iterator

import numpy as np

from consumers.catalogue import Catalogue, Rows
from schemas.state import UserState

NO_ROWS: Rows = np.empty(0, np.int64)


def refused_rows(state: UserState, catalogue: Catalogue) -> Rows:
    """Rows the user said they do not want, perhaps with repeats: muted items, and items with a muted or refused tag."""
    if not (state.muted_items or state.muted_tags or state.edits):
        return NO_ROWS
    muted = catalogue.rows(state.muted_items)
    return np.concatenate([muted[muted >= 0], *(catalogue.rows_with_tag(tag) for tag in _refused_tags(state))])


def _refused_tags(state: UserState) -> Iterator[str]:
    yield from state.muted_tags
    for topic, stance in state.edits.items():
        if stance == "not_interested":
            yield topic
