"""What the evaluation shows while it runs: progress bars in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_EVERY_S = 15.0
T = TypeVar("T")
OnDone = Callable[[int, int], None]
"""Told how many of how many are done."""


class Steps:
    """Shows one step after another, and remembers how long each took."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[OnDone]:
        """One step; call what it yields with what is done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        started, shown = time.monotonic(), time.monotonic()
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            task = bars.add_task(name, total=None)

            def on_done(done: int, total: int) -> None:
                nonlocal shown
                bars.update(task, completed=done, total=total)
                if not self.console.is_terminal and time.monotonic() - shown >= PLAIN_EVERY_S:
                    shown = time.monotonic()
                    print(f"{name}: {done} of {total}", flush=True)

            yield on_done
        self.seconds[name] = round(time.monotonic() - started, 1)
        if not self.console.is_terminal:
            print(f"{name}: {self.seconds[name]} s", flush=True)

    def each(self, name: str, things: Sequence[T] | Iterable[T], total: int) -> Iterator[T]:
        """The things, one after another, as a step."""
        with self.step(name) as on_done:
            for number, thing in enumerate(things, start=1):
                yield thing
                on_done(number, total)
