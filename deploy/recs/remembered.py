"""Figures of earlier runs, kept in a folder: what was chosen on validation, and what each seed gained on the test."""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.recs.interactions import Interactions
from deploy.recs.measures import Gains
from deploy.recs.split import Split

COLUMNS = ("users", "items", "times_ms", "types", "values", "baskets")


def fingerprint(split: Split) -> str:
    """A digest of all that a split holds: events, ids, questions and answers."""
    digest = hashlib.sha256(f"{split.protocol} {split.remove_seen} {split.cut_ms}".encode())
    _add(digest, split.train)
    digest.update(split.users.tobytes())
    for truth in split.truths:
        digest.update(truth.tobytes() + b";")
    return digest.hexdigest()[:24]


def _add(digest: Any, events: Interactions) -> None:
    for name in COLUMNS:
        digest.update(getattr(events, name).tobytes())
    digest.update("\0".join([*events.user_ids, "", *events.item_ids]).encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Remembered:
    """Reads and writes by key; without a folder nothing is kept. A file that cannot be read counts as not there."""

    folder: Path | None

    def value(self, *key: object) -> Any:
        """The JSON value kept under a key, or None."""
        path = self._path(key, "json")
        try:
            return None if path is None else json.loads(path.read_text())
        except (OSError, ValueError):
            return None

    def keep_value(self, value: Any, *key: object) -> None:
        """Keep a JSON value."""
        if (path := self._path(key, "json")) is not None:
            _written(path, json.dumps(value).encode())

    def gains(self, *key: object) -> Gains | None:
        """What a model gained, or None."""
        path = self._path(key, "npz")
        if path is None or not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file) as kept:
                return Gains(**{name: kept[name] for name in Gains.__dataclass_fields__})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep_gains(self, gains: Gains, *key: object) -> None:
        """Keep what a model gained."""
        if (path := self._path(key, "npz")) is not None:
            partial = path.with_suffix(f".{os.getpid()}.npz")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(partial, **vars(gains))
            partial.replace(path)

    def _path(self, key: tuple[object, ...], suffix: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / f"{hashlib.sha256(json.dumps([str(part) for part in key]).encode()).hexdigest()[:32]}.{suffix}"


def _written(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)
