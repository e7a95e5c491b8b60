"""Items as bags of their tags, or of the words of their text: what the distance between two items of a list is measured by."""

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

WORD = re.compile(r"[^\W_]{2,}")
RAREST = 2


def word_vectors(texts: Sequence[str], tags: Sequence[Sequence[str]]) -> sparse.csr_matrix | None:
    """Rows of unit length, or empty [items, words]: tags where most items have some, else the text's words by TF-IDF.

    None when items have neither.
    """
    if sum(bool(own) for own in tags) * 2 > len(tags):
        return _unit_rows(_counts([list(own) for own in tags]))
    counts = _counts([WORD.findall(text.casefold()) for text in texts])
    if counts is None:
        return None
    held_by = np.asarray((counts > 0).sum(axis=0)).ravel()
    counts.data = 1 + np.log(counts.data)
    return _unit_rows(counts.multiply(np.log(len(texts) / held_by) + 1).tocsr())


def _counts(documents: Sequence[Sequence[str]]) -> sparse.csr_matrix | None:
    held_by: dict[str, int] = {}
    for words in documents:
        for word in set(words):
            held_by[word] = held_by.get(word, 0) + 1
    known = {word: place for place, word in enumerate(word for word, count in held_by.items() if count >= RAREST)}
    if not known:
        return None
    rows = [row for row, words in enumerate(documents) for word in words if word in known]
    columns = [known[word] for words in documents for word in words if word in known]
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(documents), len(known)))


def _unit_rows(counts: sparse.csr_matrix | None) -> sparse.csr_matrix | None:
    if counts is None:
        return None
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(lengths, 1e-12)) @ counts)
