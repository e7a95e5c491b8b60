"""Items by what they say and are: vectors that place an item which nobody has taken yet."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse.linalg import svds

from deploy.recs.interactions import Floats
from deploy.recs.item_words import word_vectors

DIMENSIONS = 64


def content_vectors(texts: Sequence[str], tags: Sequence[Sequence[str]]) -> Floats | None:
    """Whitened latent semantic vectors of words and tags, float32 [items, c]; None where items say too little.

    Whitening matters: the first directions hold what all items share, and would drown the rest (AlphaFuse, Hu et al. 2025).
    """
    words = word_vectors(texts, tags)
    if words is None or min(words.shape) <= DIMENSIONS:
        return None
    directions, sizes, _ = svds(words, k=DIMENSIONS, rng=0)
    kept = directions[:, sizes > 1e-4 * sizes.max()]
    return np.ascontiguousarray(kept * np.sqrt(len(kept)), np.float32)
