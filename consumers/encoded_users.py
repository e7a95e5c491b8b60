"""What user_encoder says of a batch of users: their vectors, and the items that a learned one expects next."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.tensors import NEXT_ITEMS, NEXT_SCORES

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


class NextItems(NamedTuple):
    """Items that come next: their numbers (`Catalogue.numbers`) [users, NEXT_ITEMS], 0 where there is none, some perhaps more
    than once, and what speaks for each [users, NEXT_ITEMS, len(NEXT_SCORES)].
    """

    numbers: Numbers
    scores: Floats

    @classmethod
    def none(cls, users: int) -> "NextItems":
        """What a plain encoder says."""
        return cls(np.zeros((users, NEXT_ITEMS), np.int64), np.zeros((users, NEXT_ITEMS, len(NEXT_SCORES)), np.float32))


class EncodedUsers(NamedTuple):
    """`vectors` [users, d] of unit length, zeros where nothing is known; `expected` of the same users; by which `version`."""

    vectors: Floats
    expected: NextItems
    version: str = ""
