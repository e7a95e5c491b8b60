"""The histories of a batch of users as arrays: which rows, and what each event says of its item."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Rows
from consumers.statements.feedback import heard_weight, weights_of
from consumers.statements.interests import InterestRules
from schemas.state import UserState

Weights = npt.NDArray[np.float64]
MS_PER_H = 3_600_000.0


@dataclass(frozen=True)
class Histories:
    """Events oldest first, [users, longest]: `rows` -1 for an item without one and after the last event.

    `heard` is what an event weighs, `faded` the same halved with its age, counted from the user's newest (`event_weights`).
    `moments_ago` is how many moments with events came after that of each: events of one moment are a basket.
    """

    rows: Rows
    heard: Weights
    faded: Weights
    moments_ago: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, states: Sequence[UserState], catalogue: Catalogue, rules: InterestRules) -> "Histories":
        """The histories of these users."""
        events = [event for state in states for event in state.events]
        lengths = np.array([len(state.events) for state in states], np.int64)
        said = weights_of(events, rules.type_weights)
        times_ms = np.array([event.event_time_ms for event in events], np.int64)
        if any("comment" in state.type_counts for state in states):
            for place in [place for place, event in enumerate(events) if event.type == "comment"]:
                said[place] = heard_weight(events[place], rules.type_weights)
        newest_ms = np.array([state.events[-1].event_time_ms if state.events else 0 for state in states], np.int64)
        ages_ms = times_ms - np.repeat(newest_ms, lengths)
        there = np.arange(max(1, int(lengths.max(initial=0)))) < lengths[:, None]
        rows = np.full(there.shape, -1, np.int64)
        heard, faded = np.zeros(there.shape), np.zeros(there.shape)
        rows[there] = catalogue.rows([event.item_id for event in events])
        heard[there] = said
        faded[there] = said * np.exp2(ages_ms * (1.0 / (rules.half_life_h * MS_PER_H)))
        later = np.zeros(there.shape, np.bool_)
        later[there] = np.diff(times_ms, append=0) != 0  # of a user's last event, what comes after it is another user's
        later[np.arange(len(states)), np.maximum(lengths - 1, 0)] = False
        moments_ago = np.cumsum(later[:, ::-1], axis=1)[:, ::-1]
        return cls(rows, heard, faded, moments_ago, lengths)
