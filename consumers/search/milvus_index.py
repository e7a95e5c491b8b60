"""Search in Milvus, the only module that imports it: for catalogues that do not fit one machine."""

from collections.abc import Callable
from typing import Any

import numpy as np

from consumers.catalogue import Catalogue, Floats, RowWatch
from consumers.search.exact import scan_rows
from consumers.search.largest import best_first
from consumers.search.vector_index import Found, Mask
from schemas.errors import ConfigError, Retryable

MOST_AT_ONCE = 16_384
"""Milvus returns no more per query."""
WRITTEN_AT_ONCE = 1000
MARGIN = 16
"""Items fetched beyond those asked for, as some may not be allowed."""
FEW_ALLOWED = 0.02
"""Share of items up to which those allowed are compared here: Milvus would send mostly others."""


class MilvusIndex:
    """The VectorIndex on a Milvus collection, which workers may share: each writes what it reads, and that is the same.

    `address` is `http://host:port`, or a file for Milvus Lite.
    """

    def __init__(self, address: str, token: str, collection: str, dim: int) -> None:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise ConfigError("PORTRAIT_SEARCH__INDEX is milvus, but pymilvus is missing: install portrait[milvus]") from error
        self._collection = collection
        self._client: Any = _reached(lambda: MilvusClient(address, token=token))
        _reached(lambda: self._create(dim))
        self._ids: list[str] = []
        self._watch: RowWatch | None = None
        self._to_put: set[str] = set()
        self._to_remove: set[str] = set()

    def _create(self, dim: int) -> None:
        from pymilvus import DataType

        if self._client.has_collection(self._collection):
            return
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("item_id", DataType.VARCHAR, max_length=512, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="AUTOINDEX", metric_type="IP")
        # Strong: what a worker wrote before a search is found by it
        self._client.create_collection(self._collection, schema=schema, index_params=index, consistency_level="Strong")

    def follow(self, catalogue: Catalogue) -> None:
        """See `VectorIndex.follow`."""
        self._watch = self._watch or catalogue.watch("vectors")
        changed = self._watch.drain().tolist()
        before = {self._ids[row] for row in changed if row < len(self._ids)}
        self._ids = catalogue.item_ids.copy() if changed else self._ids
        now = {self._ids[row] for row in changed if row < len(self._ids)}
        rows = catalogue.rows(before)
        gone = {item_id for item_id, row in zip(before, rows.tolist(), strict=True) if row < 0}
        self._to_put = (self._to_put | now) - gone
        self._to_remove = (self._to_remove | gone) - now
        for ids in _pieces(self._to_remove):
            _reached(lambda ids=ids: self._client.delete(self._collection, ids=ids))  # type: ignore[misc]
            self._to_remove.difference_update(ids)
        for ids in _pieces(self._to_put):
            vectors = catalogue.vectors(catalogue.rows(ids)).tolist()
            data = [{"item_id": item_id, "vector": vector} for item_id, vector in zip(ids, vectors, strict=True)]
            _reached(lambda data=data: self._client.upsert(self._collection, data=data))  # type: ignore[misc]
            self._to_put.difference_update(ids)

    def search(self, queries: Floats, count: int, allowed: Mask, catalogue: Catalogue) -> Found:
        """See `VectorIndex.search`."""
        possible = int(np.count_nonzero(allowed))
        if possible <= max(count, FEW_ALLOWED * len(allowed)):
            return scan_rows(queries, count, np.flatnonzero(allowed), catalogue)
        fetched = min(count + MARGIN, MOST_AT_ONCE)
        while True:
            found, exhausted = self._fetch(queries, fetched, allowed, catalogue)
            enough = (found.rows >= 0).sum(axis=1).min(initial=possible) >= min(count, possible)
            if enough or exhausted or fetched == MOST_AT_ONCE:
                return Found(found.rows[:, :count], found.similarities[:, :count])
            fetched = min(4 * fetched, MOST_AT_ONCE)

    def _fetch(self, queries: Floats, fetched: int, allowed: Mask, catalogue: Catalogue) -> tuple[Found, bool]:
        answers = _reached(
            lambda: self._client.search(self._collection, data=queries.tolist(), limit=fetched, output_fields=["item_id"])
        )
        rows = np.full((len(queries), fetched), -1, np.int64)
        similarities = np.full((len(queries), fetched), -np.inf, np.float32)
        for place, hits in enumerate(answers):
            rows[place, : len(hits)] = catalogue.rows([hit["item_id"] for hit in hits])
            similarities[place, : len(hits)] = [hit["distance"] for hit in hits]
        shown = (rows >= 0) & allowed[rows]
        rows, similarities = best_first(rows, np.where(shown, similarities, np.float32(-np.inf)), catalogue.tie_break)
        return Found(rows, similarities), all(len(hits) < fetched for hits in answers)

    def wait(self) -> None:
        """Nothing is ever built here."""

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()


def _pieces(ids: set[str]) -> list[list[str]]:
    """The ids in pieces that one call carries, in order."""
    ordered = sorted(ids)
    return [ordered[start : start + WRITTEN_AT_ONCE] for start in range(0, len(ordered), WRITTEN_AT_ONCE)]


def _reached(call: Callable[[], Any]) -> Any:
    from pymilvus import MilvusException

    try:
        return call()
    except MilvusException as error:
        raise Retryable(f"Milvus: {error}; is PORTRAIT_SEARCH__MILVUS_ADDRESS right, and the server up?") from error
