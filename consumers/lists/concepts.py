"""A site's knowledge graph, items and the concepts they belong to, joined with the catalogue; it feeds ranking and reasons."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from consumers.catalogue import Catalogue, Floats, Rows, RowWatch
from consumers.lists.ranking import STRONGEST_TAGS
from consumers.lists.site_files import site_text
from consumers.tag_table import TagTable
from schemas.errors import ConfigError

MAX_CONCEPTS = 32
"""Concepts of an item that count, the first ones of the file."""


def read_edges(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """Concepts by item id from a file's text: CSV with the columns item_id and concept, or JSON lines with these fields.

    Raises:
        ConfigError: the text is neither; the message names file and line.
    """
    found: dict[str, dict[str, None]] = {}
    for line, edge in _json_lines(text, name) if name.endswith(".jsonl") else _csv_lines(text, name):
        item_id, concept = edge.get("item_id"), edge.get("concept")
        if not (isinstance(item_id, str) and isinstance(concept, str) and item_id and concept.strip()):
            raise ConfigError(f"{name}, line {line}: an edge needs item_id and concept, both text")
        found.setdefault(item_id, {})[concept.strip()] = None
    return {item_id: tuple(concepts)[:MAX_CONCEPTS] for item_id, concepts in found.items()}


def _csv_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.DictReader(io.StringIO(text))
    if not {"item_id", "concept"} <= set(reader.fieldnames or ()):
        raise ConfigError(f"{name}, line 1: the header must name the columns item_id and concept")
    for edge in reader:
        yield reader.line_num, edge


def _json_lines(text: str, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                edge = json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{name}, line {number}: not JSON: {error}") from None
            yield number, edge if isinstance(edge, dict) else {}


class Concepts:
    """The graph by catalogue row. Names are compared case-folded."""

    def __init__(self, edges: Mapping[str, tuple[str, ...]]) -> None:
        self.table = TagTable(1)
        self._edges = edges
        self._spelling = {concept.casefold(): concept for concepts in edges.values() for concept in concepts}
        self._watch: RowWatch | None = None

    def follow(self, catalogue: Catalogue) -> None:
        """Take over what the catalogue changed; it is always the same one."""
        if not self._edges:
            return
        self._watch = self._watch or catalogue.watch("items")
        if len(catalogue) > len(self.table.numbers):
            self.table.grow(2 * len(catalogue))
        for row in self._watch.drain().tolist():
            if row < len(self.table.numbers):
                self.table.clear(row)
            if row < len(catalogue):
                self.table.set(row, self._edges.get(catalogue.item_ids[row], ()))

    def __bool__(self) -> bool:
        return bool(self._edges)

    def names(self, row: int) -> tuple[str, ...]:
        """The row's concepts, case-folded."""
        return self.table.names(row)

    def spelled(self, name: str) -> str:
        """A concept as the file writes it."""
        return self._spelling.get(name, name)

    def tastes(self, liked: Rows, weights: Floats) -> list[dict[str, float]]:
        """Each user's strongest concepts as a vector of length 1: those of their `liked` rows [users, L] by these weights."""
        if not self:
            return [{} for _ in liked]
        return [self._taste(zip(rows, own, strict=True)) for rows, own in zip(liked.tolist(), weights.tolist(), strict=True)]

    def _taste(self, liked: Iterable[tuple[int, float]]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for row, weight in liked:
            names: Sequence[str] = self.names(row) if row >= 0 else ()
            for name in names:
                sums[name] = sums.get(name, 0.0) + weight / len(names)
        strongest = sorted(sums.items(), key=lambda entry: (-entry[1], entry[0]))[:STRONGEST_TAGS]
        length = sum(weight * weight for _, weight in strongest) ** 0.5
        return {name: weight / length for name, weight in strongest}


NO_CONCEPTS = Concepts({})


def concepts_of(path: Path | None) -> Concepts:
    """Those of a file; none without one.

    Raises:
        ConfigError: the file is missing or wrong.
    """
    return NO_CONCEPTS if path is None else Concepts(read_edges(site_text(path), str(path)))
