"""Items by what they say and are: vectors that place an item which nobody has taken yet."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse.linalg import svds

from deploy.recs.interactions import Floats
from deploy.recs.item_words import word_vectors

DIMENSIONS = 64
"""Directions kept of words, and as many of meanings."""
LEAST_SHARE = 0.5
"""Of the items must have a text, for meanings to tell them apart."""


def texts_to_encode(texts: Sequence[str], tags: Sequence[Sequence[str]]) -> list[str]:
    """What the text encoder should read of each item; nothing at all where too few have a text."""
    if len(texts) <= DIMENSIONS or sum(map(bool, texts)) < LEAST_SHARE * len(texts):
        return []
    return [f"{text}\n{', '.join(own)}".strip() for text, own in zip(texts, tags, strict=True)]


def content_vectors(texts: Sequence[str], tags: Sequence[Sequence[str]], meanings: Floats | None = None) -> Floats | None:
    """Whitened vectors of words and tags beside those of meanings, float32 [items, c]; None where items say too little.

    `meanings` [items, d] are the text encoder's; words come as latent semantic vectors. Whitening matters: the first
    directions hold what all items share, and would drown the rest (AlphaFuse, Hu et al. 2025).
    """
    words = word_vectors(texts, tags)
    parts = []
    if words is not None and min(words.shape) > DIMENSIONS:
        directions, sizes, _ = svds(words, k=DIMENSIONS, rng=0)
        parts.append(directions[:, sizes > 1e-4 * sizes.max()] * np.sqrt(len(directions)))
    if meanings is not None:
        parts.append(whitened(meanings))
    return np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32) if parts else None


def whitened(vectors: Floats) -> Floats:
    """The strongest directions of these vectors [n, d], each as long as any other, in rows of one length."""
    directions, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    kept = directions[:, :DIMENSIONS][:, sizes[:DIMENSIONS] > 1e-4 * sizes[0]]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    white: Floats = kept / np.maximum(lengths, 1e-9) * np.sqrt(kept.shape[1])
    return white
