"""What the demo says while it runs: bars and lines in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.demo.collector import written_by_llm
from deploy.display import shown
from schemas.messages import UserProfile


class Show:
    """Writes to one console. Texts of users and items are made harmless first."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._started = time.monotonic()
        self._progress: Progress | None = None

    def say(self, text: str, style: str = "") -> None:
        """One line, with the seconds since the start."""
        console = self._progress.console if self._progress else self.console
        console.print(f"{time.monotonic() - self._started:6.1f} s  {text}", style=style, markup=False, highlight=False)

    def report(self, service: str, doing: str) -> None:
        """A step of a server or worker that is starting."""
        self.say(f"{service}: {doing}", "dim")

    def profile(self, profile: UserProfile) -> None:
        """A profile that has just arrived."""
        by = "LLM  " if written_by_llm(profile) else "plain"
        self.say(f"profile [{by}] {shown(profile.user_id, 16)}: {shown(profile.text, 150)}", "cyan")

    @contextmanager
    def bar(self, what: str, total: int) -> "Iterator[Bar]":
        """A progress bar for `total` steps."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True, refresh_per_second=4) as self._progress:
            task = self._progress.add_task(what, total=total)
            bar = Bar(self._progress, int(task))
            try:
                yield bar
            finally:
                self._progress = None
        self.say(f"{what}: {bar.done:,}")


class Bar:
    """A bar that can be moved from a hot loop: it is drawn at most ten times a second."""

    def __init__(self, progress: Progress, task: int) -> None:
        self.done = 0
        self._progress = progress
        self._task = task
        self._drawn_s = 0.0

    def to(self, done: int) -> None:
        """So much is done."""
        self.done = done
        now = time.monotonic()
        if now - self._drawn_s > 0.1:
            self._drawn_s = now
            self._progress.update(self._task, completed=done)  # type: ignore[arg-type]
