"""Reading a data folder: events, items and users as CSV, JSONL or Parquet, gzip too, one row at a time.

docs/data-layout.md is the user's page on this.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

from schemas.errors import ConfigError

Kind = Literal["events", "items", "users"]
SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
MAX_FIELD_CHARS = 1_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: where it is, and why."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}: {self.reason}"


OnBadRow = Callable[[BadRow], None]


@dataclass(frozen=True)
class DataFile:
    """One file of a data folder. `columns` are the header's (CSV, Parquet), or None where rows name their own (JSONL)."""

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

    def rows(self, on_bad: OnBadRow) -> Iterator[tuple[int, Row]]:
        """Every row with its line number (row number for Parquet); rows that cannot be read go to `on_bad`.

        Raises:
            ConfigError: the file itself is damaged, or pyarrow is needed and missing.
        """
        try:
            if self.path.suffix == ".parquet":
                yield from _parquet_rows(self.path)
            elif ".jsonl" in self.path.suffixes:
                yield from _jsonl_rows(self.path, on_bad)
            else:
                yield from _csv_rows(self.path, on_bad)
        except (EOFError, OSError) as error:  # gzip raises both for a file that is cut short or is no gzip
            raise ConfigError(f"cannot read {self.path}: {error}; is it complete, and really what its name says?") from error


def find_file(folder: Path, kind: Kind) -> DataFile | None:
    """The folder's file of a kind, or None.

    Raises:
        ConfigError: there are two, so nobody could say which is meant; or its header cannot be read.
    """
    found = [path for suffix in SUFFIXES if (path := folder / f"{kind}{suffix}").is_file()]
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
    names = ", ".join(kind + suffix for suffix in SUFFIXES)
    raise ConfigError(f"{folder} has no {kind} file; expected one of {names} (docs/data-layout.md)")


def _columns(path: Path) -> tuple[str, ...] | None:
    if ".jsonl" in path.suffixes:
        return None
    try:
        if path.suffix == ".parquet":
            return tuple(_parquet_file(path).schema_arrow.names)
        with _open_text(path) as lines:
            header = next(csv.reader(lines), None)
    except (EOFError, OSError, csv.Error, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; is it really what its name says?") from error
    if not header:
        raise ConfigError(f"{path} is empty; its first line must name the columns")
    return tuple(name.strip() for name in header)


def _open_bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _open_text(path: Path) -> io.TextIOWrapper:
    # Bytes that are no UTF-8 become lone surrogates, which no message accepts: one bad row instead of a dead replay.
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_rows(path: Path, on_bad: OnBadRow) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    with _open_text(path) as lines:
        reader = csv.reader(lines)
        header = [name.strip() for name in next(reader)]
        width = len(header)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                on_bad(BadRow(path, reader.line_num, str(error)))
                continue
            if len(cells) == width:
                yield reader.line_num, dict(zip(header, cells, strict=True))
            elif cells:
                on_bad(BadRow(path, reader.line_num, f"{len(cells)} cells where the header has {width}"))


def _jsonl_rows(path: Path, on_bad: OnBadRow) -> Iterator[tuple[int, Row]]:
    with _open_bytes(path) as lines:
        for line_number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                on_bad(BadRow(path, line_number, f"not JSON: {error}"))
                continue
            if isinstance(row, dict):
                yield line_number, row
            else:
                on_bad(BadRow(path, line_number, f"a JSON object is needed, this is a {type(row).__name__}"))


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    row_number = 0
    for batch in _parquet_file(path).iter_batches(batch_size=8192):
        for row in batch.to_pylist():
            row_number += 1
            yield row_number, row


def _parquet_file(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow: {error}; install portrait with its `data` extra") from error
    return parquet.ParquetFile(path)
