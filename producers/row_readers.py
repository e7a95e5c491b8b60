"""The rows of one data file, one at a time: CSV, JSONL and Parquet, gzip too."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from schemas.errors import ConfigError

MAX_FIELD_CHARS = 1_000_000

DAMAGED = (OSError, EOFError, zlib.error)
"""What reading a file raises that is no gzip, is cut short, or was changed inside."""

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
Rows = Iterator[tuple[int, Row]]
"""Rows with their line numbers; row numbers where there are no lines."""


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def open_text(path: Path) -> io.TextIOWrapper:
    """The file's text; bytes that are no UTF-8 become lone surrogates, which no message accepts: a bad row, no dead replay."""
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline="")


def csv_rows(path: Path, on_bad: OnBadRow) -> Rows:
    """Rows below a header; a row of another width is bad."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    with open_text(path) as lines:
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


def jsonl_rows(path: Path, on_bad: OnBadRow) -> Rows:
    """One object a line; anything else is a bad row."""
    with open_bytes(path) as lines:
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


def parquet_rows(path: Path) -> Rows:
    """Rows by their column names."""
    row_number = 0
    for batch in parquet_file(path).iter_batches(batch_size=8192):
        for row in batch.to_pylist():
            row_number += 1
            yield row_number, row


def parquet_file(path: Path) -> Any:
    """The file, opened by pyarrow.

    Raises:
        ConfigError: pyarrow is missing.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow: {error}; install portrait with its `data` extra") from error
    return parquet.ParquetFile(path)
