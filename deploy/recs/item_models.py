"""What items say of each other: matrices [items, items] that turn a history into scores by one product.

EASE is Steck 2019; the neighbours are by cosine with shrinkage, as in Sarwar et al. 2001.
"""

import numpy as np
import scipy.linalg
import scipy.sparse as sparse

from deploy.recs.interactions import Floats, Interactions
from schemas.errors import ConfigError

MOST_ITEMS = 20_000  # a dense matrix of float32 then takes 1.6 GB
EASE_RIDGE = 300.0
COSINE_SHRINKAGE = 20.0
FOLLOWING_WINDOW = 5
FOLLOWING_SHRINKAGE = 5.0
MIRRORED_AT_ONCE = 256

FADINGS = {"ease": (1.0, 0.9, 0.6), "ease_log": (0.9,), "cosine": (0.9, 0.6), "following": (0.8, 0.4)}
"""What an event counts for against one of the basket after it, by item model: what was done long ago fades slowly, or fast."""


def require_few_items(items: int) -> None:
    """ConfigError when matrices between all items would not fit into memory."""
    if items > MOST_ITEMS:
        raise ConfigError(
            f"{items:,} items: item-to-item models are made for up to {MOST_ITEMS:,}; leave out items nobody took"
        )


def ease(users_items: sparse.csr_matrix, ridge: float = EASE_RIDGE) -> Floats:
    """Linear weights with a zero diagonal that best give each user's items back from the others."""
    gram = gram_matrix(users_items)
    diagonal = np.diag_indices_from(gram)
    gram[diagonal] += ridge
    # The inverse of a positive definite matrix by its Cholesky factor: half the work of a general one.
    try:
        factor = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        raise ConfigError(f"EASE cannot be solved with ridge {ridge}: raise it") from None
    inverse, _ = scipy.linalg.lapack.spotri(factor, lower=True, overwrite_c=True)
    mirror_lower(inverse)
    inverse /= -np.diag(inverse)
    inverse[diagonal] = 0
    return np.ascontiguousarray(inverse)


def mirror_lower(matrix: Floats) -> None:
    """Write what is below the diagonal above it too, in place and by blocks that fit a processor's cache."""
    size = len(matrix)
    for first in range(0, size, MIRRORED_AT_ONCE):
        last = min(first + MIRRORED_AT_ONCE, size)
        block = matrix[first:last, first:last]
        block[:] = np.tril(block) + np.tril(block, -1).T
        for below in range(last, size, MIRRORED_AT_ONCE):
            rows = slice(below, min(below + MIRRORED_AT_ONCE, size))
            matrix[first:last, rows] = matrix[rows, first:last].T


def cosine(users_items: sparse.csr_matrix) -> Floats:
    """Share of users that two items have in common, shrunk towards 0 where both are rare."""
    gram = gram_matrix(users_items)
    norms = np.sqrt(np.diag(gram))
    gram /= np.outer(norms, norms) + COSINE_SHRINKAGE
    np.fill_diagonal(gram, 0)
    return gram.T  # the same numbers row by row: by columns, every product with it would copy it first


def following(events: Interactions) -> Floats:
    """How often the one item came soon after the other, nearer counting more; rows are what came first."""
    size = len(events.item_ids)
    rows, columns, weights = [], [], []
    for distance in range(1, FOLLOWING_WINDOW + 1):
        before, after = events.items[:-distance], events.items[distance:]
        together = events.users[:-distance] == events.users[distance:]
        rows.append(before[together])
        columns.append(after[together])
        weights.append(np.full(int(together.sum()), 1 / distance, np.float32))
    pairs = (np.concatenate(rows), np.concatenate(columns))
    matrix: Floats = sparse.csr_matrix((np.concatenate(weights), pairs), (size, size)).toarray()
    np.fill_diagonal(matrix, 0)
    counts = np.sqrt(np.bincount(events.items, minlength=size).astype(np.float32))
    matrix /= np.outer(counts, counts) + FOLLOWING_SHRINKAGE
    return matrix


def gram_matrix(users_items: sparse.csr_matrix) -> Floats:
    """How often users took both items: float32 [items, items], symmetric, column by column in memory as LAPACK wants it."""
    gram: Floats = (users_items.T @ users_items).toarray().astype(np.float32)
    return gram
