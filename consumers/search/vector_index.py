"""What every vector search can do; tests/unit/test_vector_index.py is its conformance suite."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Floats, Rows

Mask = npt.NDArray[np.bool_]


class Found(NamedTuple):
    """Rows and their inner products with each query, best first, [queries, count]; row -1 and -inf where there is none."""

    rows: Rows
    similarities: Floats


class VectorIndex(Protocol):
    """Finds the items whose vectors have the largest inner product with a query. Rows are the catalogue's."""

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what changed since the last call: from now on new items are found, and removed ones never.

        It is always the same catalogue.

        Raises:
            Retryable: the server that searches cannot be reached; nothing that changed is forgotten.
        """

    def search(self, queries: Floats, count: int, allowed: Mask, catalogue: Catalogue) -> Found:
        """The best `count` rows for each query [queries, d] among those that `allowed` [n] marks.

        Equal similarities are in the order of `Catalogue.tie_break`.

        Raises:
            Retryable: as `follow`.
        """

    def wait(self) -> None:
        """Return once nothing is being built in the background any more."""
