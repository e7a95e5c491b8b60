"""`portrait watch` and `portrait top`: seeing Portrait at work."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.user_argument import UserId
from schemas.settings import load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from deploy.top import Monitor
    from deploy.watch import Watcher

LOOK_S = 0.1
"""Longest time between an arrival and its picture."""
REFRESH_S = 1.0
PLAIN_WIDTH = 100
UNKNOWN_USER = 1

Once = Annotated[bool, typer.Option("--once", help="print what there is, once, and end")]


def watch(user: UserId, once: Once = False) -> None:
    """Watch one user: events, profile and list, changing live. Ctrl-C ends it.

    Without a terminal (in a pipe) it prints a line for each change. With --once the exit status is 1 when nothing is known of
    the user.
    """
    from deploy.local.record import running_stack
    from deploy.watch import Watcher

    console = _console()
    with _ended_by_user(), closing(Watcher(running_stack(load_settings()), user)) as watcher:
        if once:
            _print_once(watcher, console)
        elif console.is_terminal:
            _watch_live(watcher, console)
        else:
            _watch_lines(watcher)


def _print_once(watcher: "Watcher", console: "Console") -> None:
    from deploy.watch import now_ms
    from deploy.watch_view import watch_view

    watcher.load()
    console.print(watch_view(watcher.user, now_ms(), console.width))
    if not watcher.user.known:
        raise typer.Exit(UNKNOWN_USER)


def _watch_live(watcher: "Watcher", console: "Console") -> None:
    from rich.live import Live

    from deploy.watch import now_ms
    from deploy.watch_view import watch_view

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            note = "" if watcher.connected else "Kafka does not answer"
            live.update(watch_view(watcher.user, now_ms(), console.width, console.height, note), refresh=True)
            watcher.poll(LOOK_S)


def _watch_lines(watcher: "Watcher") -> None:
    from deploy.watch import now_ms
    from deploy.watch_lines import change_line, present_lines

    watcher.load()
    _say(present_lines(watcher.user, now_ms()))
    while True:
        _say([change_line(watcher.user, change, now_ms()) for change in watcher.poll(LOOK_S)])


def _say(lines: list[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    if lines:
        sys.stdout.flush()


def top(
    once: Once = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON line and end; rates over one second")] = False,
) -> None:
    """Show rates, lag, latencies and queues of every running worker and of Triton, each second. Ctrl-C ends it."""
    from deploy.local.record import running_stack
    from deploy.top import Monitor

    monitor = Monitor(running_stack(load_settings()))
    console = _console()
    with _ended_by_user():
        if as_json:
            _say([monitor.second_look(REFRESH_S).as_json()])
        elif once or not console.is_terminal:
            _print_top(monitor, console)
        else:
            _top_live(monitor, console)


def _print_top(monitor: "Monitor", console: "Console") -> None:
    from deploy.top_view import top_view

    console.print(top_view(monitor.second_look(REFRESH_S), console.width))


def _top_live(monitor: "Monitor", console: "Console") -> None:
    import time

    from rich.live import Live

    from deploy.top_view import top_view

    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            started = time.monotonic()
            live.update(top_view(monitor.look(), console.width, console.height), refresh=True)
            time.sleep(max(0.05, REFRESH_S - (time.monotonic() - started)))


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(highlight=False, width=PLAIN_WIDTH)


@contextmanager
def _ended_by_user() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block, and leave by the same way, so that the terminal is put back."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(watch)
    app.command()(top)
