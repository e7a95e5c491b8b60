"""How the commands that look into Kafka speak: results on stdout, words and progress on stderr, errors with status 2."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from deploy.hostile import as_json
from schemas.errors import ConfigError, PortraitError

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 140


@contextmanager
def ended_by_errors() -> Iterator[None]:
    """Turn every failure to read or write into a ConfigError: status 1 has a meaning of its own in these commands."""
    try:
        yield
    except ConfigError:
        raise
    except PortraitError as error:
        raise ConfigError(str(error)) from error


def console() -> "Console":
    """Of stdout; as wide as the terminal, or wide enough for every column in a pipe."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    if made.is_terminal or "COLUMNS" in os.environ:
        return made
    return Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)


def say(text: str) -> None:
    """A line on stderr; what does not print is escaped."""
    from deploy.hostile import lines

    typer.echo(lines(text), err=True)


def say_json(value: object, indent: int | None = None) -> None:
    """A line of JSON on stdout, several with `indent`."""
    typer.echo(as_json(value, indent))


@contextmanager
def reading_progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, moved by calls with the number done since the last; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    silent = not screen.is_terminal
    # stdout may be a pipe while stderr is a terminal: rich would else send what is printed to stderr
    with Progress(*columns, console=screen, disable=silent, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
