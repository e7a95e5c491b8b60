"""How a start tells its watcher where it stands, and how that is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[str, str], None]
"""Called with a service's name and what it is doing now, from any thread."""


def silent(service: str, doing: str) -> None:
    """Report to nobody."""


@contextmanager
def shown_progress(console: "Console") -> Iterator[Report]:
    """A report that draws a line a service with a spinner and a clock; plain lines where there is no terminal."""
    if not console.is_terminal:
        yield lambda service, doing: console.print(f"{service}: {doing}", markup=False, highlight=False, soft_wrap=True)
        return
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.fields[service]:8}"), TimeElapsedColumn(), TextColumn("{task.description}"))
    for column in columns:
        if isinstance(column, TextColumn):
            column.markup = False
    lines: dict[str, TaskID] = {}
    adding = Lock()
    with Progress(*columns, console=console) as progress:

        def report(service: str, doing: str) -> None:
            with adding:
                if service not in lines:
                    lines[service] = progress.add_task("", total=1, service=service)
            progress.update(lines[service], description=doing, completed=doing.startswith("ready"))

        yield report
