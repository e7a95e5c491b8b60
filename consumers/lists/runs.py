"""Rows of many users that stand one user after the other in flat arrays."""

import numpy as np

from consumers.catalogue import Rows


def places_within(counts: Rows) -> Rows:
    """0, 1, … within each of runs of these lengths, [sum of counts]."""
    places: Rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
