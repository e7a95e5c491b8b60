"""The files of a data folder: events, items and users, each in one of the forms that we read.

docs/data-layout.md is the user's page on this.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from producers.row_readers import DAMAGED, OnBadRow, Rows, csv_rows, jsonl_rows, open_text, parquet_file, parquet_rows
from producers.sequences import ATTRIBUTES, EVENT_COLUMNS, ITEM_COLUMNS, SEQUENCES, attribute_rows, sequence_rows
from schemas.errors import ConfigError

Kind = Literal["events", "items", "users"]
SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
SEQUENCE_FORMS: dict[Kind, tuple[str, ...]] = {"events": SEQUENCES, "items": ATTRIBUTES, "users": ()}


@dataclass(frozen=True)
class DataFile:
    """One file of a data folder. `columns` are the header's, or None where rows name their own (JSONL)."""

    path: Path
    columns: tuple[str, ...] | None

    def require(self, column: str, use: str) -> None:
        """Check that a column exists, as far as the file says.

        Raises:
            ConfigError: it does not; the message names the columns there are.
        """
        if self.columns is not None and column not in self.columns:
            raise ConfigError(
                f"{self.path}: no column {column!r} for {use}; the file has {', '.join(self.columns)}. "
                f"Name the right one in portrait-mapping.toml (docs/data-layout.md)"
            )

    def rows(self, on_bad: OnBadRow) -> Rows:
        """Every row with its line number (row number for Parquet); rows that cannot be read go to `on_bad`.

        Raises:
            ConfigError: the file itself is damaged, or pyarrow is needed and missing.
        """
        try:
            if self.path.name in SEQUENCES:
                yield from sequence_rows(self.path, on_bad)
            elif self.path.name in ATTRIBUTES:
                yield from attribute_rows(self.path)
            elif self.path.suffix == ".parquet":
                yield from parquet_rows(self.path)
            elif ".jsonl" in self.path.suffixes:
                yield from jsonl_rows(self.path, on_bad)
            else:
                yield from csv_rows(self.path, on_bad)
        except DAMAGED as error:
            raise ConfigError(f"cannot read {self.path}: {error}; is it complete, and really what its name says?") from error


def find_file(folder: Path, kind: Kind) -> DataFile | None:
    """The folder's file of a kind, or None.

    Raises:
        ConfigError: there are two, so nobody could say which is meant; or its header cannot be read.
    """
    names = [*(kind + suffix for suffix in SUFFIXES), *SEQUENCE_FORMS[kind]]
    found = [path for name in names if (path := folder / name).is_file()]
    if len(found) > 1:
        raise ConfigError(f"{folder} has {' and '.join(path.name for path in found)}; keep the one to replay")
    return DataFile(found[0], _columns(found[0])) if found else None


def require_file(folder: Path, kind: Kind) -> DataFile:
    """The folder's file of a kind.

    Raises:
        ConfigError: it is missing; the message says what it may be called.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder; give one with events, items and users files (docs/data-layout.md)")
    if found := find_file(folder, kind):
        return found
    names = ", ".join([*(kind + suffix for suffix in SUFFIXES), *SEQUENCE_FORMS[kind]])
    raise ConfigError(f"{folder} has no {kind} file; expected one of {names} (docs/data-layout.md)")


def _columns(path: Path) -> tuple[str, ...] | None:
    if ".jsonl" in path.suffixes:
        return None
    if path.name in SEQUENCES:
        return EVENT_COLUMNS
    if path.name in ATTRIBUTES:
        return ITEM_COLUMNS
    try:
        if path.suffix == ".parquet":
            return tuple(parquet_file(path).schema_arrow.names)
        with open_text(path) as lines:
            header = next(csv.reader(lines), None)
    except (*DAMAGED, csv.Error, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; is it really what its name says?") from error
    if not header:
        raise ConfigError(f"{path} is empty; its first line must name the columns")
    return tuple(name.strip() for name in header)
