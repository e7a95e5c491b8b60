"""Event columns of a data folder, kept as Parquet for the next time it is read."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from deploy.recs.event_columns import EventColumns, columns_of
from producers.dataset import Dataset
from schemas.errors import PortraitError
from schemas.messages import EVENT_TYPES
from schemas.settings import Settings

FORM = 1
"""Counts up when what is kept changes."""
ABOUT = b"portrait"
IDS = ("users", "items", "sessions")
PLAIN = ("times_ms", "types", "values")


def kept_in(settings: Settings) -> Path:
    """Where what was read of data folders is kept."""
    return settings.runtime.folder / "read"


def read_columns(dataset: Dataset, keep_in: Path | None) -> EventColumns:
    """The dataset's events with an item, as they were kept in this folder or read anew, and kept.

    Kept is one file for each data folder, for as long as its events file and mapping stay the same. A file with bad rows is
    read anew each time, so that they are told; and nothing is kept where pyarrow is missing.
    """
    path = None if keep_in is None else keep_in / f"{_digest(str(dataset.folder.resolve()))[:16]}.parquet"
    about = _about(dataset)
    if path is not None and (kept := _kept(path, about)) is not None:
        return kept
    columns = columns_of(dataset.events_as_filed())
    if path is not None and not len(dataset.bad_rows):
        _keep(path, about, columns)
    return columns


def _about(dataset: Dataset) -> dict[str, Any]:
    file = dataset.events_file.path.stat()
    return {
        "form": FORM,
        "file": [str(dataset.events_file.path.resolve()), file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns],
        "mapping": _digest(dataset.mapping.model_dump_json()),
        "types": list(EVENT_TYPES),
    }


def _kept(path: Path, about: dict[str, Any]) -> EventColumns | None:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        return None
    try:
        table = parquet.read_table(path, page_checksum_verification=True)
        told = json.loads(table.schema.metadata[ABOUT])
        if {name: told[name] for name in about} != about:
            return None
        columns = {name: table.column(name).combine_chunks() for name in (*IDS, *PLAIN)}
        return EventColumns(
            **{name: columns[name].indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32) for name in IDS},
            **{name: columns[name].to_numpy() for name in PLAIN},
            user_ids=columns["users"].dictionary.to_pylist(),
            item_ids=columns["items"].dictionary.to_pylist(),
            session_ids=columns["sessions"].dictionary.to_pylist(),
            first_ms=told["first_ms"],
            last_ms=told["last_ms"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArrowException):
        return None  # none there, cut short, or of an earlier form


def _keep(path: Path, about: dict[str, Any], columns: EventColumns) -> None:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        return
    ids = zip(IDS, (columns.user_ids, columns.item_ids, columns.session_ids), strict=True)
    arrays = {
        name: arrow.DictionaryArray.from_arrays(
            arrow.array(numbers := getattr(columns, name), mask=numbers < 0), arrow.array(known, arrow.string())
        )
        for name, known in ids
    }
    arrays |= {name: arrow.array(getattr(columns, name)) for name in PLAIN}
    told = {**about, "first_ms": columns.first_ms, "last_ms": columns.last_ms}
    table = arrow.table(arrays).replace_schema_metadata({ABOUT: json.dumps(told)})
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, part, compression="zstd", write_page_checksum=True)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise PortraitError(f"cannot keep what was read in {path}: {error}") from error


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()
