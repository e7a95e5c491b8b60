"""What the model has worded already: a fact reads the same for every user, so it is asked for once."""

from collections import OrderedDict
from hashlib import blake2b
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

    The key is the question that asks for them. Those with an `owner` are that user's alone, until a second user has the same
    fact: who they are, and topics that rest on what they said and nothing else.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._version = ""
        self._shared: OrderedDict[bytes, Words] = OrderedDict()
        self._own: OrderedDict[bytes, tuple[StateKey, Words]] = OrderedDict()
        self._keys_of: dict[StateKey, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._shared) + len(self._own)

    def recall(self, question: str, owner: StateKey | None) -> Words | None:
        """The words, if they are known."""
        key = _key(question)
        if key in self._own:
            holder, words = self._own[key]
            if holder == owner:
                self._own.move_to_end(key)
                return words
            self._share(key, words)
        known = self._shared.get(key)
        if known is not None:
            self._shared.move_to_end(key)
        return known

    def remember(self, question: str, owner: StateKey | None, words: Words) -> None:
        """Know these words from now on; those not used for the longest time make room."""
        key = _key(question)
        if owner is None or key in self._shared or self._own.get(key, (owner,))[0] != owner:
            self._share(key, words)
        else:
            self._own[key] = (owner, words)
            self._own.move_to_end(key)
            self._keys_of.setdefault(owner, set()).add(key)
        while len(self) > self._most:
            if len(self._own) > len(self._shared):
                self._release(next(iter(self._own)))
            else:
                self._shared.popitem(last=False)

    def forget(self, owner: StateKey) -> None:
        """Forget what is a user's alone."""
        for key in list(self._keys_of.get(owner, ())):
            self._release(key)

    def forget_partition(self, partition: int) -> None:
        """Forget what is its users' alone: another worker is told of their erasures from now on."""
        for owner in [owner for owner in self._keys_of if owner[0] == partition]:
            self.forget(owner)

    def of_version(self, version: str) -> None:
        """The model that writes is this one; words of another are forgotten."""
        if self._version and version != self._version:
            self._shared.clear()
            self._own.clear()
            self._keys_of.clear()
        self._version = version

    def _share(self, key: bytes, words: Words) -> None:
        if key in self._own:
            self._release(key)
        self._shared[key] = words
        self._shared.move_to_end(key)

    def _release(self, key: bytes) -> None:
        holder, _ = self._own.pop(key)
        self._keys_of[holder].discard(key)
        if not self._keys_of[holder]:
            del self._keys_of[holder]


def _key(question: str) -> bytes:
    """Questions with examples are long."""
    return blake2b(question.encode("utf-8", "surrogatepass"), digest_size=16).digest()
