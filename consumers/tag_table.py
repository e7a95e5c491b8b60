"""Tags by catalogue row, as numbers in one array: a tag is compared with every item at once."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from consumers.item_vectors import Rows

FIRST_WIDTH = 4


class TagTable:
    """Distinct, case-folded names per row. Each name has a number above 0 while any row carries it."""

    def __init__(self, capacity: int) -> None:
        self.numbers: npt.NDArray[np.int32] = np.zeros((capacity, FIRST_WIDTH), np.int32)
        """The numbers of each row's tags, then zeros, [capacity, widest]."""
        self._name_of: list[str] = [""]
        self._uses: list[int] = [0]
        self._number_of: dict[str, int] = {}
        self._free: list[int] = []
        self._rows_of: dict[str, Rows] = {}

    @property
    def size(self) -> int:
        """One more than the highest number."""
        return len(self._name_of)

    def number(self, name: str) -> int:
        """The number of a case-folded name; 0 while no row carries it."""
        return self._number_of.get(name, 0)

    def names(self, row: int) -> tuple[str, ...]:
        """The row's tags."""
        return tuple([self._name_of[number] for number in self.numbers[row].tolist() if number])

    def names_of(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        """The names of these numbers [m]."""
        name_of = self._name_of
        return [name_of[number] for number in numbers.tolist()]

    def rows(self, name: str, used: int) -> Rows:
        """Rows among the first `used` that carry this case-folded name, ascending."""
        found = self._rows_of.get(name)
        if found is None:
            number = self._number_of.get(name)
            if number is None:
                return np.empty(0, np.int64)
            found = np.flatnonzero((self.numbers[:used] == number).any(axis=1))
            self._rows_of[name] = found
        return found

    def set(self, row: int, names: Iterable[str]) -> int:
        """Give a row without tags these; returns how many they are."""
        distinct = list(dict.fromkeys(name.casefold() for name in names))
        numbers = [self._take(name) for name in distinct]
        if len(numbers) > self.numbers.shape[1]:
            wider = np.zeros((len(self.numbers), len(numbers)), np.int32)
            wider[:, : self.numbers.shape[1]] = self.numbers
            self.numbers = wider
        self.numbers[row, : len(numbers)] = numbers
        return len(numbers)

    def clear(self, row: int) -> None:
        """Take the row's tags away."""
        for number in self.numbers[row].tolist():
            if number:
                self._give_back(number)
        self.numbers[row] = 0

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows."""
        larger = np.zeros((capacity, self.numbers.shape[1]), np.int32)
        larger[: len(self.numbers)] = self.numbers
        self.numbers = larger

    def _take(self, name: str) -> int:
        self._rows_of.pop(name, None)
        number = self._number_of.get(name)
        if number is None:
            if self._free:
                number = self._free.pop()
                self._name_of[number] = name
            else:
                number = len(self._name_of)
                self._name_of.append(name)
                self._uses.append(0)
            self._number_of[name] = number
        self._uses[number] += 1
        return number

    def _give_back(self, number: int) -> None:
        name = self._name_of[number]
        self._rows_of.pop(name, None)
        self._uses[number] -= 1
        if not self._uses[number]:
            del self._number_of[name]
            self._free.append(number)
