"""Vectors of what users declare, tags and free text: encoded once, beside the fast path, and kept while they are in use.

No text is kept once it is encoded: its vector is found by a digest, so that nobody's words outlive their erasure here.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future

import numpy as np
import numpy.typing as npt

from schemas.errors import Retryable

EncodeTextsSoon = Callable[[list[str]], "Future[npt.NDArray[np.float32]]"]
"""Texts to vectors, float32 [n, d], later; fails with Retryable while text_encoder cannot be reached."""

TEXTS_PER_CALL = 8
"""Few, so that users being encoded at the same time hardly wait for them."""
MAX_WANTED = 10_000
"""Texts that wait to be encoded; the oldest beyond it are asked for again with their user's next list."""


class TagVectors:
    """Text to vector, for the `capacity` texts used last. Nothing here waits: a text is known some time after it is wanted."""

    def __init__(self, encode_texts_soon: EncodeTextsSoon, capacity: int = 10_000) -> None:
        self._encode_texts_soon = encode_texts_soon
        self._capacity = capacity
        self._vectors: OrderedDict[bytes, npt.NDArray[np.float32]] = OrderedDict()
        self._wanted: dict[str, None] = {}
        self._call: tuple[list[str], Future[npt.NDArray[np.float32]]] | None = None

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self._vectors

    def lookup(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The vectors of those texts that are known; the others are wanted from now on."""
        found = {}
        for text in dict.fromkeys(texts):
            vector = self._vectors.get(digest := _digest(text))
            if vector is None:
                self._wanted[text] = None
            else:
                found[text] = vector
                self._vectors.move_to_end(digest)
        while len(self._wanted) > MAX_WANTED:
            del self._wanted[next(iter(self._wanted))]
        return found

    def forget(self, texts: Iterable[str]) -> None:
        """These are wanted no more."""
        for text in texts:
            self._wanted.pop(text, None)

    def arrivals(self) -> list[str]:
        """Texts that became known since the last call; asks for the next of the wanted ones, one small call at a time.

        Raises:
            BadMessage, ConfigError: what text_encoder said, other than that it cannot be reached; the texts stay wanted.
        """
        arrived = self._finished()
        if self._call is None and self._wanted:
            texts = list(self._wanted)[:TEXTS_PER_CALL]
            self._call = texts, self._encode_texts_soon(texts)
        return arrived

    def _finished(self) -> list[str]:
        if self._call is None or not self._call[1].done():
            return []
        texts, future = self._call
        self._call = None
        try:
            vectors = future.result()
        except (Retryable, CancelledError):
            return []  # counted by the client; the texts are still wanted
        for text, vector in zip(texts, vectors, strict=True):
            self._vectors[_digest(text)] = vector
            self._wanted.pop(text, None)
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
        return texts


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
