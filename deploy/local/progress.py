"""How a start tells its watcher where it stands."""

from collections.abc import Callable

Report = Callable[[str, str], None]
"""Called with a service's name and what it is doing now."""


def silent(service: str, doing: str) -> None:
    """Report to nobody."""
