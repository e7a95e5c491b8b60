"""`portrait replay` and `portrait shop`: events in."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from producers.dataset import BadRows
    from producers.publisher import Publisher
    from producers.replay import OnProgress, Sent
    from producers.shop import Shop

BAD_ROWS = 1

Rate = Annotated[
    float | None, typer.Option(min=0.01, help="events a second, evenly spaced; default: as fast as Kafka takes them")
]
Seed = Annotated[int, typer.Option(help="everything invented follows from it")]
Malformed = Annotated[
    int, typer.Option(min=0, help="mix in so many messages that must end in dead-letters, of 40 kinds and more")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(replay)
    app.command()(shop)


def replay(
    folder: Annotated[Path, typer.Argument(help="a folder with events, items and users files; see docs/data-layout.md")],
    rate: Rate = None,
    limit: Annotated[int | None, typer.Option(min=1, help="stop after so many events")] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="which columns mean what: a TOML file, movielens-100k or online-retail; "
            "default: the folder's portrait-mapping.toml, else the ready one with the folder's name, else plain names"
        ),
    ] = None,
    grant_profile: Annotated[
        bool, typer.Option(help="give each user's consent to a profile; a data set has none of its own, so say it yourself")
    ] = False,
    malformed: Malformed = 0,
    seed: Seed = 0,
    skip_bad: Annotated[bool, typer.Option(help="exit with 0 even when rows could not be used")] = False,
) -> None:
    """Replay a folder of real data through Kafka: items, then users, then events in the order of time.

    Event times stay the data's. Event ids are the same each time: an event counts once while it is among its user's newest 50.
    Rows that cannot be used are listed as file:line on stderr, and the exit status is then 1. Ends with one line of JSON.
    """
    from producers.dataset import open_dataset
    from producers.replay import replay as replay_dataset

    dataset = open_dataset(folder, mapping)
    total = dataset.times.count if limit is None else min(limit, dataset.times.count)
    _say(f"{dataset.folder} by {dataset.mapping_source}: {dataset.times.count} events of {len(dataset.times.user_ids)} users")
    with _publisher() as publisher, _progress(total) as on_progress:
        sent = replay_dataset(
            dataset, publisher, rate, limit, on_progress, grant_profile=grant_profile, malformed=malformed, seed=seed
        )
    _report_bad_rows(dataset.bad_rows)
    _print_report(
        {
            "report": "replay",
            "data": dataset.folder.resolve().name,
            "mapping": dataset.mapping_source,
            **_counts(sent),
            "profile_consents_assumed": sent.controls,
            "bad_rows": len(dataset.bad_rows),
            "rate_asked": rate,
        }
    )
    if len(dataset.bad_rows) and not skip_bad:
        raise typer.Exit(BAD_ROWS)


def shop(
    users: Annotated[int, typer.Option(min=1, help="invented users; user A of the worked example comes on top, twice")] = 200,
    events: Annotated[int, typer.Option(min=6, help="behaviour events in all")] = 20_000,
    rate: Rate = None,
    seed: Seed = 7,
    days: Annotated[int, typer.Option(min=2, help="how long the users live, until now")] = 28,
    malformed: Malformed = 0,
    visits: Annotated[int, typer.Option(min=0, help="then let every user look at their list so often, once it is made")] = 0,
) -> None:
    """Send the demo shop: 486 items in Chinese and English, and users with hidden, sometimes changing interests.

    The last event is a few hours old, however long the sending takes. With --visits users then open their lists, see some of
    them and click what suits them: impressions and events that `portrait eval policy` judges lists by. Ends with one line of
    JSON, in which `start_ms` is what rebuilds the same shop and its truth: `Shop(seed, users, start_ms, days)`. The exit
    status is 1 if there was no list to look at.
    """
    from producers.replay import Pace, Sent, mixed, send_events, send_timed
    from producers.shop import Shop
    from producers.shop_catalog import DAY_MS
    from schemas.messages import BehaviorEvent

    start_ms = time.time_ns() // 1_000_000 - days * DAY_MS
    demo_shop = Shop(seed, users, start_ms=start_ms, days=days)
    messages = list(demo_shop.simulate(events))
    said = len(messages) - sum(isinstance(message, BehaviorEvent) for message in messages)
    sent = Sent()
    with _publisher() as publisher, _progress(events) as on_progress:
        for item in demo_shop.items:
            send_timed(publisher, item, sent)
            on_progress("items", sent.items)
        publisher.flush()
        send_events(publisher, mixed(messages, events + said, malformed, seed), Pace(rate), sent, on_progress)
    report = {"report": "shop", "seed": seed, "start_ms": start_ms, "days": days, **_counts(sent), "rate_asked": rate}
    visited = _visits(demo_shop, visits)
    _print_report({**report, "visits": visited})
    if visits and not visited:
        raise typer.Exit(1)


def _visits(demo_shop: "Shop", rounds: int) -> list[dict[str, float | None]]:
    """So many rounds of looks at the newest lists."""
    if not rounds:
        return []
    from deploy.local.record import running_stack
    from deploy.visits import visits

    found = []
    with _publisher() as publisher:
        for visited in visits(demo_shop, running_stack(load_settings()), publisher, rounds, _say):
            _say(visited.sentence())
            found.append(visited.as_dict())
    return found


def _counts(sent: "Sent") -> dict[str, Any]:
    return {
        "items": sent.items,
        "users": len(sent.users),
        "attributes": sent.attributes,
        "controls": sent.controls,
        "events": sent.events,
        "malformed": sent.malformed,
        "events_per_s": round(sent.events_per_s, 1),
    }


@contextmanager
def _publisher() -> Iterator["Publisher"]:
    from deploy.local.record import running_stack
    from deploy.topics import ensure_topics
    from producers.publisher import Publisher

    settings: Settings = running_stack(load_settings())
    ensure_topics(settings)
    with Publisher(settings.kafka) as publisher:
        yield publisher


@contextmanager
def _progress(total_events: int) -> Iterator["OnProgress"]:
    """A bar of the events on stderr, at most some ten times a second; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("items", total=None)
        shown_s = 0.0

        def on_progress(stage: str, done: int) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s < 0.1 and done != total_events:
                return
            shown_s = time.monotonic()
            progress.update(task, description=stage, completed=done, total=total_events if stage == "events" else None)

        yield on_progress


def _report_bad_rows(bad_rows: "BadRows") -> None:
    for row in bad_rows.first:
        _say(str(row))
    if len(bad_rows):
        more = len(bad_rows) - len(bad_rows.first)
        _say(f"{len(bad_rows)} rows could not be used{f', {more} of them not listed' if more else ''}")


def _say(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    from deploy.local.show import printable

    Console(stderr=True).print(Text(printable(text)), soft_wrap=True)


def _print_report(report: dict[str, Any]) -> None:
    typer.echo(json.dumps(report, ensure_ascii=False))
