"""What the model has worded already: a fact reads the same for every user, so it is asked for once."""

from collections import OrderedDict
from typing import NamedTuple

from consumers.runtime.processor import StateKey


class Words(NamedTuple):
    """How the model says a fact, as the check let it pass."""

    text: str
    by_llm: bool


FIXED = Words("", by_llm=False)
"""In place of words that the model was not asked for, or could not find: `consumers.texts.plain_text` has those."""


class WordMemory:
    """The words used last, at most so many; of one model version.

    The key is the question that asks for them. What a user declares is remembered for that user alone (`owner`), and only
    what they declared last.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._version = ""
        self._shared: OrderedDict[str, Words] = OrderedDict()
        self._own: OrderedDict[StateKey, tuple[str, Words]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._shared) + len(self._own)

    def recall(self, question: str, owner: StateKey | None) -> Words | None:
        """The words, if they are known."""
        if owner is not None:
            known = self._own.get(owner)
            if known is None or known[0] != question:
                return None
            self._own.move_to_end(owner)
            return known[1]
        words = self._shared.get(question)
        if words is not None:
            self._shared.move_to_end(question)
        return words

    def remember(self, question: str, owner: StateKey | None, words: Words) -> None:
        """Know these words from now on; those not used for the longest time make room."""
        if owner is not None:
            self._own[owner] = (question, words)
            self._own.move_to_end(owner)
        else:
            self._shared[question] = words
            self._shared.move_to_end(question)
        while len(self) > self._most:
            (self._own if len(self._own) > len(self._shared) else self._shared).popitem(last=False)

    def forget(self, owner: StateKey) -> None:
        """Forget what a user declared."""
        self._own.pop(owner, None)

    def forget_partition(self, partition: int) -> None:
        """Forget what the users of a partition declared: another worker is told of their erasures from now on."""
        for owner in [owner for owner in self._own if owner[0] == partition]:
            del self._own[owner]

    def of_version(self, version: str) -> None:
        """The model that writes is this one; words of another are forgotten."""
        if self._version and version != self._version:
            self._shared.clear()
            self._own.clear()
        self._version = version
