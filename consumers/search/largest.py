"""The largest scores of each row of a matrix, several times faster than partitioning whole rows."""

import numpy as np

from consumers.catalogue import Floats, Rows

CUT_BLOCKS = 16
"""Columns compared at once; see `largest`."""


def largest(scores: Floats, count: int) -> Rows:
    """Columns of the `count` largest scores of each row [users, n], in no order.

    Columns are dealt into groups of 16. The `count` groups with the largest maxima hold the `count` largest scores, so only
    these are partitioned.
    """
    n = scores.shape[1]
    groups = n // CUT_BLOCKS
    if groups <= 2 * count:
        return np.argpartition(scores, n - count, axis=1)[:, n - count :]
    dealt = groups * CUT_BLOCKS
    maxima = scores[:, :groups].copy()
    for start in range(groups, dealt, groups):
        np.maximum(maxima, scores[:, start : start + groups], out=maxima)
    best = np.argpartition(maxima, groups - count, axis=1)[:, groups - count :]
    columns = (best[:, :, None] + groups * np.arange(CUT_BLOCKS)).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(dealt, n), (len(scores), n - dealt))
    columns = np.concatenate([columns, rest], axis=1)
    near = np.take_along_axis(scores, columns, axis=1)
    kept = np.argpartition(near, near.shape[1] - count, axis=1)[:, near.shape[1] - count :]
    return np.take_along_axis(columns, kept, axis=1)


def best_first(rows: Rows, found: Floats, tie_break: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> tuple[Rows, Floats]:
    """Rows and their scores [users, k] in the order of score, equal ones by their tie-break; row -1 where it is -inf."""
    order = np.lexsort((tie_break[rows], -found), axis=1)
    rows, found = np.take_along_axis(rows, order, axis=1), np.take_along_axis(found, order, axis=1)
    return np.where(np.isneginf(found), -1, rows), found
