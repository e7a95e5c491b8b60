"""What a learned ranker is told beside the features that reasons are made of."""

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.lists.candidates import Candidates, Source
from consumers.lists.own_items import OWN_FACTS
from consumers.lists.people import People
from consumers.lists.ranking import row_matches
from consumers.lists.shelf import Shelf
from schemas.tensors import NEXT_SCORES

DETAILS = (
    *(f"from_{str(source.name).lower()}" for source in Source), *NEXT_SCORES[1:], *OWN_FACTS, "taken_again", "log_popularity",
    "log_age_days",
)  # fmt: skip
"""Of a candidate: which sources gave it, what item-to-item models of a learned user_encoder say, what its user had to do with
it before, how often people come back to it, how popular it is on a scale where the rare ones differ too, and how old it is."""
CONTEXT = ("log_events", "log_items", "log_liked", "has_tags", "has_profile", "is_known", "log_moments", "log_idle_days")
"""Of a user."""
DAY_MS = 86_400_000
LEAST_SHARE = 1e-6
OLDEST_DAYS = 3650.0


def details_of(candidates: Candidates, users: People, shelf: Shelf, catalogue: Catalogue) -> Floats:
    """Float32 [users, n, len(DETAILS)]; row -1 has no meaning."""
    rows = candidates.rows
    found = np.empty((*rows.shape, len(DETAILS)), np.float32)
    for place, source in enumerate(Source):
        found[:, :, place] = candidates.came_from(source)
    expected, own = len(Source), len(Source) + len(NEXT_SCORES) - 1
    found[:, :, expected:own] = row_matches(rows, users.expected, users.expectations, len(catalogue))[:, :, 1:]
    rest = own + len(OWN_FACTS)
    found[:, :, own:rest] = row_matches(rows, users.own.rows, users.own.facts, len(catalogue))
    found[:, :, DETAILS.index("taken_again")] = catalogue.returns.shares(len(catalogue))[rows]
    shares = np.log(np.maximum(shelf.popularity, LEAST_SHARE)).astype(np.float32)
    ages = np.clip((shelf.now_ms - catalogue.published_at_ms) / DAY_MS, 0, OLDEST_DAYS)
    found[:, :, DETAILS.index("log_popularity")] = shares[rows]
    found[:, :, DETAILS.index("log_age_days")] = np.log1p(ages).astype(np.float32)[rows]
    return found


def context_of(users: People, now_ms: int) -> Floats:
    """Float32 [users, len(CONTEXT)]."""
    known = np.array(
        [
            (
                state.event_count,
                len(state.items),
                0,
                state.attributes is not None and bool(state.attributes.tags),
                state.profile is not None,
                0,
                0,
                (now_ms - state.events[-1].event_time_ms) / DAY_MS if state.events else OLDEST_DAYS,
            )
            for state in users.states
        ],
        np.float32,
    ).reshape(len(users), len(CONTEXT))
    known[:, 2] = (users.liked >= 0).sum(axis=1)
    known[:, :3] = np.log1p(known[:, :3])
    known[:, 5] = users.vectors.any(axis=1)
    known[:, 6] = np.log1p(users.moments)
    known[:, 7] = np.log1p(np.clip(known[:, 7], 0, OLDEST_DAYS))
    return known
