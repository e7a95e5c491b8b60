"""What librdkafka runs in this process."""

from contextlib import suppress
from pathlib import Path


def clients_alive() -> int:
    """How many of its clients there are: each has one thread of this name."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            names.append((task / "comm").read_text().strip())
    return names.count("rdk:main")
