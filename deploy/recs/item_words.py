"""Items as bags of the words of their text and tags: what the distance between two items of a list is measured by."""

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

WORD = re.compile(r"[^\W_]{2,}")
RAREST = 2


def word_vectors(texts: Sequence[str], tags: Sequence[Sequence[str]]) -> sparse.csr_matrix | None:
    """TF-IDF over words and tags [items, words], rows of unit length or empty; None when items have neither."""
    documents = [[*WORD.findall(text.casefold()), *(f"#{tag}" for tag in own)] for text, own in zip(texts, tags, strict=True)]
    held_by: dict[str, int] = {}
    for words in documents:
        for word in set(words):
            held_by[word] = held_by.get(word, 0) + 1
    known = {word: place for place, word in enumerate(word for word, count in held_by.items() if count >= RAREST)}
    if not known:
        return None
    rows = [row for row, words in enumerate(documents) for word in words if word in known]
    columns = [known[word] for words in documents for word in words if word in known]
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(documents), len(known)))
    counts.data = 1 + np.log(counts.data)
    rarity = np.log(len(documents) / np.array([held_by[word] for word in known])) + 1
    weighted = counts.multiply(rarity).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(lengths, 1e-12)) @ weighted)
