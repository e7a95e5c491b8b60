"""`portrait demo`."""

import json
from pathlib import Path
from typing import Annotated

import typer

FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Replay this data folder (docs/data-layout.md) instead of the demo shop.")
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="Column mapping of the data: a ready one's name, or a file.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Live events a second in the first stage.")] = 200.0,
    paced_s: Annotated[float, typer.Option(min=1, help="Seconds of live events; the rest follows at once.")] = 30.0,
    events: Annotated[int, typer.Option(min=100, help="Events of the demo shop.")] = 20_000,
    users: Annotated[int, typer.Option(min=2, help="Users of the demo shop.")] = 300,
    malformed: Annotated[int, typer.Option(min=0, help="Malformed messages mixed in; each must become a dead letter.")] = 100,
    profiles_wait_s: Annotated[float, typer.Option(min=0, help="Longest wait for texts after the last event.")] = 90.0,
    seed: Annotated[int, typer.Option(help="Seed of the demo shop and the malformed messages.")] = 7,
) -> None:
    """Run the whole job on this machine and show it: Kafka, Triton, three workers, live events, profiles and lists.

    Works in `.portrait/demo`, which it empties first, and stops everything it started, also on Ctrl-C. At the end every state
    is compared with a plain-Python fold of all inputs. The last line is one JSON object with all figures; the exit status is
    1 if a state differs, a malformed message is not in dead-letters, a user has no list, or there is no profile.
    """
    from rich.console import Console

    from deploy.demo.progress import Show
    from deploy.demo.run import Plan, run_demo
    from deploy.demo.source import data_source, shop_source
    from deploy.demo.summary import report, show_outcome
    from deploy.machine import MachineMeter
    from schemas.settings import load_settings

    console = Console()
    settings = load_settings()
    source = data_source(data, mapping, seed) if data else shop_source(seed, users, events)
    plan = Plan(rate_per_s=rate, paced_s=paced_s, malformed=malformed, profiles_wait_s=profiles_wait_s)
    meter = MachineMeter()
    outcome = run_demo(source, plan, settings, Show(console))
    figures = report(outcome, meter)
    show_outcome(console, outcome, figures)
    print(json.dumps(figures), flush=True)
    complete = figures["users_without_list"] == 0 and figures["profiles"] > 0
    exact = figures["fold_mismatches"] == 0 and figures["dead_letters_intact"]
    if not (complete and exact) or outcome.workers_restarted:
        raise typer.Exit(FAILED)
