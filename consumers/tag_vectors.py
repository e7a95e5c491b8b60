"""Vectors of what users declare, tags and free text: encoded once, kept while they are in use."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

EncodeTexts = Callable[[list[str]], npt.NDArray[np.float32]]
"""Texts to vectors, float32 [n, d]; raises Retryable while text_encoder cannot be reached."""


class TagVectors:
    """Text to vector, for the `capacity` texts used last."""

    def __init__(self, encode_texts: EncodeTexts, capacity: int = 10_000) -> None:
        self._encode_texts = encode_texts
        self._capacity = capacity
        self._vectors: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def lookup(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        """The vector of each text; those not kept are encoded in one call.

        Raises:
            Retryable: text_encoder cannot be reached.
        """
        wanted = dict.fromkeys(texts)
        missing = [text for text in wanted if text not in self._vectors]
        if missing:
            self._vectors.update(zip(missing, self._encode_texts(missing), strict=True))
        found = {}
        for text in wanted:
            found[text] = self._vectors[text]
            self._vectors.move_to_end(text)
        while len(self._vectors) > self._capacity:
            self._vectors.popitem(last=False)
        return found
