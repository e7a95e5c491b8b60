"""Folders of plain sequences: `sequences.txt[.gz]`, one user a line, the user's id and then item ids in their order."""

import gzip
import json
from pathlib import Path
from typing import IO, cast

from schemas.errors import ConfigError

SEQUENCES = ("sequences.txt", "sequences.txt.gz")
ATTRIBUTES = ("item_attributes.json", "item_attributes.json.gz")


def is_sequence_folder(folder: Path) -> bool:
    """Whether the folder has a file of sequences."""
    return _found(folder, SEQUENCES) is not None


def read_sequences(folder: Path) -> tuple[list[str], list[str], dict[str, list[str]]]:
    """The users and the items of all events in the order of the file, and each item's attributes.

    Raises:
        ConfigError: a file cannot be read, a line has no item, or a user has two lines.
    """
    path = _found(folder, SEQUENCES)
    if path is None:
        raise ConfigError(f"{folder} has no {SEQUENCES[0]}")
    users: list[str] = []
    items: list[str] = []
    seen: set[str] = set()
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                user, *own = line.split() or [""]
                if not user:
                    continue
                if not own:
                    raise ConfigError(f"{path} line {number}: a user's id and then item ids are expected, this has one word")
                if user in seen:
                    raise ConfigError(f"{path} line {number}: user {user[:40]!r} has two lines")
                seen.add(user)
                users += [user] * len(own)
                items += own
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not users:
        raise ConfigError(f"{path} holds no event: each line is a user's id and then item ids in their order")
    return users, items, _attributes(folder)


def _attributes(folder: Path) -> dict[str, list[str]]:
    path = _found(folder, ATTRIBUTES)
    if path is None:
        return {}
    try:
        with _open(path) as file:
            read = json.load(file)
        return {str(item): [str(one) for one in attributes] for item, attributes in read.items()}
    except (OSError, EOFError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f'{path} is not JSON of the form {{"item": [attributes]}}: {error}') from error


def _found(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _open(path: Path) -> IO[str]:
    return cast(IO[str], gzip.open(path, "rt", encoding="utf-8")) if path.suffix == ".gz" else path.open(encoding="utf-8")
