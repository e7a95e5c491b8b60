"""Which vectors of an append-only index stand for which rows of a catalogue that changes."""

import numpy as np

from consumers.catalogue import Rows
from consumers.search.vector_index import Mask


class Labels:
    """Labels 0, 1, … in order of appending. A row's newest label is alive; every other label is dead and never found."""

    def __init__(self) -> None:
        self._row_of: Rows = np.full(1024, -1, np.int64)
        self._label_of: Rows = np.full(1024, -1, np.int64)
        self.count = 0
        self.dead = 0

    def append(self, rows: Rows) -> None:
        """The next labels stand for these rows, none of which may have a label that is alive."""
        self._row_of = _fit(self._row_of, self.count + len(rows))
        self._label_of = _fit(self._label_of, int(rows.max(initial=0)) + 1)
        self._row_of[self.count : self.count + len(rows)] = rows
        self._label_of[rows] = np.arange(self.count, self.count + len(rows))
        self.count += len(rows)

    def kill(self, rows: Rows) -> None:
        """These rows, whether known or not, have no label from now on."""
        rows = rows[rows < len(self._label_of)]
        labels = self._label_of[rows]
        labels = labels[labels >= 0]
        self._row_of[labels] = -1
        self._label_of[rows] = -1
        self.dead += len(labels)

    def rows(self, labels: Rows) -> Rows:
        """The rows these labels stand for; -1 for a dead one and for label -1."""
        return np.where(labels >= 0, self._row_of[labels], -1)

    def marked(self, allowed: Mask) -> Mask:
        """By label, whether it is alive and `allowed` marks its row."""
        rows = self._row_of[: self.count]
        marked: Mask = (rows >= 0) & allowed[rows]
        return marked


def _fit(numbers: Rows, size: int) -> Rows:
    if size <= len(numbers):
        return numbers
    return np.concatenate([numbers, np.full(max(size, 2 * len(numbers)) - len(numbers), -1, np.int64)])
