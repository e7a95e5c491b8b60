"""What a block of users may be shown, before anything is ranked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumers.catalogue import Floats
from consumers.lists.candidates import Candidates
from consumers.lists.exploration import Draws
from consumers.lists.people import People
from consumers.lists.shelf import Shelf


class Offered(NamedTuple):
    """The candidates of a block of users, and their `features` [users, n, len(FEATURES)].

    `draws` are what is left to chance in the list of each name; empty where nothing is.
    """

    users: People
    shelf: Shelf
    concept_tastes: Sequence[Mapping[str, float]]
    candidates: Candidates
    features: Floats
    draws: Mapping[str, Draws]
