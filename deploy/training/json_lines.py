"""Files of one JSON object a line, kept beside the snapshot of the topics."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from schemas.errors import ConfigError

Line = TypeVar("Line")


def write_lines(path: Path, lines: Iterable[object]) -> None:
    """In place of what was there."""
    path.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in lines))


def read_lines(path: Path, kind: type[Line], name: str) -> list[Line]:
    """What `write_lines` wrote; `name` is what a line should be, for messages.

    Raises:
        ConfigError: a line is something else.
    """
    decode, found = msgspec.json.Decoder(kind).decode, []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(decode(line))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}, line {number} is no {name} ({error}); delete it, or train from Kafka") from None
    return found
