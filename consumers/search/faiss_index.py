"""Approximate search with FAISS, the only module that imports it: inverted lists, product quantisation, or a graph."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import faiss as typed_faiss
import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows, RowWatch
from consumers.item_vectors import FULL_ROWS, Halves
from consumers.search.exact import scan, scan_rows
from consumers.search.labels import Labels
from consumers.search.largest import best_first
from consumers.search.vector_index import Found, Mask

faiss: Any = typed_faiss  # its annotations leave out half of what its functions take

Kind = Literal["ivf", "ivf_pq", "hnsw"]

ADDED_AT_ONCE = 20_000
SAMPLE_PER_LIST = 40
"""Vectors per inverted list that its centres are learnt from; FAISS warns below 39."""
ITEMS_PER_LIST = 80
"""At least so many, so that the lists probed hold enough; `make bench-lists` prints the recall."""
TRAINING_ROUNDS = 8
LEAST_REFINED = 64
SEED = 1
"""Of the sample, so that the same catalogue gives the same index."""
FEW_ALLOWED = 0.02
"""Share of items up to which those allowed are compared one by one: an index would look long for them."""
DEAD_SHARE = 0.3
GROWTH = 4
"""An index is built anew when it holds this many times the items its centres were learnt from."""
REFINED = 4
REFINED_BYTES = 2
"""How many times the rows asked for are fetched of `ivf_pq`, or of bytes, and compared again with their own vectors."""


@dataclass(frozen=True)
class FaissChoice:
    """Which index, from how many items on, and how thoroughly it looks. `threads` are used by a search, one by a build."""

    kind: Kind = "ivf"
    exact_up_to: int = 10_000
    lists_probed: int = 40
    graph_effort: int = 400
    threads: int = 0
    bytes_from: int = FULL_ROWS
    """Items from which `ivf` keeps a byte per dimension, not two; the best are then compared again with their own vectors."""


class FaissIndex:
    """The VectorIndex for large catalogues.

    Vectors are only ever appended; one that changed or went away is dead and filtered out, and when too many are, the index is
    built anew. That happens in a thread beside the searches: until it is done they use the index before, or scan everything.
    """

    def __init__(self, choice: FaissChoice) -> None:
        self._choice = choice
        self._index: Any = None
        self._watch: RowWatch | None = None
        self._labels = Labels()
        self._learnt_from = 0
        self._refined = 1
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="vector-index")
        self._build: Future[Any] | None = None
        self._build_rows = 0
        self._changed_meanwhile: set[int] = set()

    def follow(self, catalogue: Catalogue) -> None:
        """See `VectorIndex.follow`."""
        self._watch = self._watch or catalogue.watch("vectors")
        changed = self._watch.drain()
        if self._build is not None:
            self._changed_meanwhile.update(changed.tolist())
            if self._build.done():
                self._take_over(self._build.result(), catalogue)
                return
        if self._index is not None:
            self._apply(changed, catalogue)
        if self._build is None and self._should_build(len(catalogue)):
            self._build_rows = len(catalogue)
            self._build = self._builder.submit(build, catalogue.halves, self._choice)

    def search(self, queries: Floats, count: int, allowed: Mask, catalogue: Catalogue) -> Found:
        """See `VectorIndex.search`."""
        if self._index is None or len(catalogue) <= self._choice.exact_up_to:
            return scan(queries, count, allowed, catalogue)
        everything = self._labels.dead == 0 and bool(allowed.all())
        if not everything and np.count_nonzero(allowed) <= max(count, FEW_ALLOWED * len(allowed)):
            return scan_rows(queries, count, np.flatnonzero(allowed), catalogue)
        fetched = max(self._refined * count, LEAST_REFINED) if self._refined > 1 else count
        if self._choice.threads:
            faiss.omp_set_num_threads(self._choice.threads)
        parameters = self._parameters(None if everything else self._labels.marked(allowed), fetched)
        similarities, labels = self._index.search(np.ascontiguousarray(queries), fetched, params=parameters)
        rows = self._labels.rows(labels)
        if fetched > count:
            similarities = np.matmul(catalogue.vectors(rows), queries[:, :, None])[:, :, 0]
        similarities = np.where(rows >= 0, similarities, np.float32(-np.inf))
        rows, similarities = best_first(rows, similarities, catalogue.tie_break)
        return Found(rows[:, :count], similarities[:, :count])

    def wait(self) -> None:
        """Return once the build under way is done; the next `follow` takes it over."""
        if self._build is not None:
            self._build.result()

    def _should_build(self, items: int) -> bool:
        if items <= self._choice.exact_up_to:
            return False
        if self._index is None or self._labels.dead > DEAD_SHARE * self._labels.count:
            return True
        return self._choice.kind != "hnsw" and items > GROWTH * self._learnt_from

    def _take_over(self, index: Any, catalogue: Catalogue) -> None:
        self._index, self._build = index, None
        self._labels, self._learnt_from = Labels(), self._build_rows
        in_bytes = self._choice.kind == "ivf" and self._build_rows >= self._choice.bytes_from
        self._refined = REFINED if self._choice.kind == "ivf_pq" else REFINED_BYTES if in_bytes else 1
        self._labels.append(np.arange(self._build_rows))
        self._apply(np.array(sorted(self._changed_meanwhile), dtype=np.int64), catalogue)
        self._changed_meanwhile.clear()

    def _apply(self, changed: Rows, catalogue: Catalogue) -> None:
        self._labels.kill(changed)
        there = changed[changed < len(catalogue)]
        for start in range(0, len(there), ADDED_AT_ONCE):
            rows = there[start : start + ADDED_AT_ONCE]
            self._index.add(catalogue.vectors(rows))
            self._labels.append(rows)

    def _parameters(self, marked: Mask | None, fetched: int) -> Any:
        selector = None
        if marked is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(marked, bitorder="little"))
        if self._choice.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(self._choice.graph_effort, fetched), sel=selector)
        return faiss.SearchParametersIVF(nprobe=self._choice.lists_probed, sel=selector)


def build(vectors: Halves, choice: FaissChoice) -> Any:
    """An index of these vectors [n, d], labelled in their order. One thread, so that searches keep the other cores.

    `vectors` may change meanwhile: whoever calls appends again what did.
    """
    faiss.omp_set_num_threads(1)
    items, dim = vectors.shape
    lists = max(1, min(int(4 * items**0.5), items // ITEMS_PER_LIST))
    index = _empty(choice.kind, dim, lists, items >= choice.bytes_from)
    # drawn, not every so many: catalogues that come in turns by topic would leave out whole topics
    rows = np.sort(np.random.default_rng(SEED).choice(items, min(items, SAMPLE_PER_LIST * lists), replace=False))
    index.train(vectors[rows].astype(np.float32))
    for start in range(0, items, ADDED_AT_ONCE):
        index.add(vectors[start : start + ADDED_AT_ONCE].astype(np.float32))
    return index


def _empty(kind: Kind, dim: int, lists: int, in_bytes: bool) -> Any:
    if kind == "hnsw":
        index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_fp16, 24, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        return index
    centres = faiss.IndexFlatIP(dim)
    if kind == "ivf":
        size = faiss.ScalarQuantizer.QT_8bit if in_bytes else faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexIVFScalarQuantizer(centres, dim, lists, size, faiss.METRIC_INNER_PRODUCT, False)
    else:
        index = faiss.IndexIVFPQ(centres, dim, lists, max(1, dim // 4), 8, faiss.METRIC_INNER_PRODUCT)
    index.own_fields = True
    centres.this.disown()  # the index deletes it
    index.cp.niter = TRAINING_ROUNDS
    return index
