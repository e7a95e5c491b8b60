"""The next question to a user nothing is known of: the tag whose yes or no tells most about what they would pick.

Each item has a weight, what it is still worth after the answers so far: an item with a refused tag little, one with a liked
tag all of it, any other half, once something is liked. The best question is the tag that splits this weight most evenly.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from schemas.messages import Item, Language

LEAST_ITEMS = 2
"""A tag of fewer items is nobody's question."""
UNMENTIONED = 0.5
REFUSED = 0.05
"""What an item is worth beside one with a liked tag."""
SAME_ITEMS = 0.6
"""Tags that share so much of their items ask the same; only one of them is asked."""


class Questionnaire:
    """A catalogue as a source of questions in one language; the questions depend on the items and the answers alone."""

    def __init__(self, items: Iterable[Item], language: Language) -> None:
        everything = list(items)
        chosen = [item for item in everything if item.language == language] or everything
        spellings: dict[str, Counter[str]] = {}
        carried = []
        for item in chosen:
            folded = {tag.casefold(): tag for tag in item.tags}
            carried.append(folded)
            for key, tag in folded.items():
                spellings.setdefault(key, Counter())[tag] += 1
        self._keys = sorted(spellings)
        self._tags = [min(spellings[key], key=lambda tag: (-spellings[key][tag], tag)) for key in self._keys]
        place_of = {key: place for place, key in enumerate(self._keys)}
        self._items = len(chosen)
        self._item_of = np.array([row for row, folded in enumerate(carried) for _ in folded], np.int64)
        self._tag_of = np.array([place_of[key] for folded in carried for key in folded], np.int64)
        self._carriers = self._weighed(np.ones(self._items))

    def next_tag(self, answers: Mapping[str, bool], passed: Collection[str] = ()) -> str | None:
        """The tag to ask about, or None when nothing is left to ask.

        `answers` is what is known already, by declaration or answer; `passed` are tags asked without an answer.
        """
        if not self._keys:
            return None
        known = {tag.casefold(): likes for tag, likes in answers.items()}
        weights = self._item_weights(known)
        shares = self._weighed(weights) / weights.sum()
        closed = self._closed({*known, *(tag.casefold() for tag in passed)})
        evenness = np.where(closed | (self._carriers < LEAST_ITEMS), -1.0, shares * (1.0 - shares))
        best = int(evenness.round(9).argmax())  # the first by name among equals, in whatever order the items came
        return self._tags[best] if evenness[best] > 0 else None

    def _weighed(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By tag, the summed weight of the items that carry it."""
        return np.bincount(self._tag_of, weights[self._item_of], minlength=len(self._keys)).astype(np.float64)

    def _carrying(self, keys: Collection[str]) -> npt.NDArray[np.bool_]:
        """By item, whether it carries one of these tags."""
        asked = np.array([key in keys for key in self._keys], dtype=bool)
        carrying = np.zeros(self._items, dtype=bool)
        carrying[self._item_of[asked[self._tag_of]]] = True
        return carrying

    def _item_weights(self, known: Mapping[str, bool]) -> npt.NDArray[np.float64]:
        liked = self._carrying([key for key, likes in known.items() if likes])
        refused = self._carrying([key for key, likes in known.items() if not likes])
        weights = np.full(self._items, UNMENTIONED if liked.any() else 1.0)
        weights[liked] = 1.0
        weights[refused] *= REFUSED
        return weights

    def _closed(self, keys: Collection[str]) -> npt.NDArray[np.bool_]:
        """By tag, whether it was asked, or has nearly the same items as one that was."""
        closed = np.array([key in keys for key in self._keys], dtype=bool)
        for place in np.flatnonzero(closed):
            carrying = np.zeros(self._items)
            carrying[self._item_of[self._tag_of == place]] = 1.0
            shared = self._weighed(carrying)
            closed |= shared >= SAME_ITEMS * (self._carriers + self._carriers[place] - shared)
        return closed
