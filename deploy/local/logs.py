"""Prints the servers' logs, and what is added to them."""

import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from deploy.local.child import tail
from deploy.local.show import printable
from schemas.errors import ConfigError

FOLLOW_INTERVAL_S = 0.2


def print_logs(folder: Path, services: Sequence[str], lines: int, follow: bool) -> None:
    """Print the last lines of each service's log, then whatever is added when asked to follow; ends with Ctrl-C.

    Raises:
        ConfigError: there are no logs.
    """
    logs = {name: folder / f"{name}.log" for name in services}
    present = {name: log for name, log in logs.items() if log.exists()}
    if not present:
        raise ConfigError(f"there are no logs of {', '.join(services)} in {folder}: has `portrait up` been run here?")
    named = len(services) > 1
    ends = {name: log.stat().st_size for name, log in present.items()}
    for name, log in present.items():
        print_lines(name if named else "", tail(log, lines))
    if follow:
        follow_logs({name: open_at(log, ends[name]) for name, log in present.items()}, named)


def open_at(log: Path, offset: int) -> TextIOWrapper:
    """The log, to be read from a byte offset on."""
    file = log.open(errors="replace")
    file.seek(offset)
    return file


def follow_logs(files: dict[str, TextIOWrapper], named: bool) -> None:
    """Print what is added, for ever."""
    while True:
        for name, file in files.items():
            print_lines(name if named else "", file.read())
        time.sleep(FOLLOW_INTERVAL_S)


def print_lines(name: str, text: str) -> None:
    """Print text line by line, each after the service's name when there is one."""
    for line in text.splitlines():
        print(f"{name:10} | {printable(line)}" if name else printable(line), flush=True)
