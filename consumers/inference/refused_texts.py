"""One text that a model refuses for good must not hold back the others: it is found by halving, and left without a vector."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from schemas.errors import BadMessage, Retryable
from schemas.tensors import EMBEDDING_DIM

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to vectors, [n, d]; BadMessage when it refuses any of them."""

HARMLESS = "portrait"
"""A text that a sentence encoder in order does not refuse."""


def without_refused(encode: Encode, texts: Sequence[str], on_refused: Callable[[str, BadMessage], object]) -> Vectors:
    """Vectors of texts, [n, d]; zeros for those that are refused for good, each given to `on_refused` with the reason.

    A refused text costs about 2 log2(n) calls more.

    Raises:
        Retryable: the model refuses even a harmless text, so it is not the texts that are wrong.
    """
    try:
        return encode(texts)
    except BadMessage as refusal:
        if len(texts) == 1:
            _blame(encode, refusal)
            on_refused(texts[0], refusal)
            return np.zeros((1, EMBEDDING_DIM), np.float32)
    half = len(texts) // 2
    return np.concatenate([without_refused(encode, part, on_refused) for part in (texts[:half], texts[half:])])


def _blame(encode: Encode, refusal: BadMessage) -> None:
    try:
        encode([HARMLESS])
    except BadMessage as error:
        raise Retryable(f"{error.detail}: it refuses even a harmless text; see its log and config.pbtxt") from refusal
