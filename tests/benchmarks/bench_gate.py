"""What the refresh gate costs and misses: LLM calls a 100 events, and true changes of interest that texts show in time.

    python -m tests.benchmarks.bench_gate [--movielens FOLDER] [--seed 7]

A replay without servers (see gate_replay) of the demo shop, whose truth is known, and of a data folder. The last line is one
JSON object. docs/profiles.md says what is counted.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.evaluation.gate_material import Material, movielens_material, shop_material
from deploy.evaluation.gate_replay import WITHIN, Outcome, Replay
from deploy.machine import MachineMeter
from schemas.settings import ProfilerSettings, Settings

CURVE = (3, 6, 12)
"""Values of `look_events` beside the default."""
NEVER = 10_000


def main() -> None:
    """Replay with the default settings and with others, print the curve, then the report."""
    given = _arguments()
    meter, started = MachineMeter(), time.perf_counter()
    shop = shop_material(given.seed, given.users, given.events, given.vectors)
    materials = [shop] + (
        [movielens_material(given.movielens, given.seed, given.movielens_users, given.vectors)] if given.movielens else []
    )
    settings, delay_ms = Settings(), int(given.delay_s * 1000)
    outcomes = {material.name: Replay(material, settings, delay_ms, everything=True).run() for material in materials}
    print_curve(materials, outcomes, delay_ms, settings, () if given.no_curve else CURVE)
    for material in materials:
        print_reasons(material, outcomes[material.name])
    print(
        json.dumps(report(materials, outcomes, given) | {"seconds": round(time.perf_counter() - started, 1)} | meter.report())
    )


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--movielens", type=Path, help="the MovieLens 100K folder, or another data folder")
    arguments.add_argument("--movielens-users", type=int, default=300, help="how many of its users, drawn by seed; 0: all")
    arguments.add_argument("--no-curve", action="store_true", help="the default settings alone")
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--users", type=int, default=600, help="the shop's")
    arguments.add_argument("--events", type=int, default=40_000, help="the shop's")
    arguments.add_argument("--delay-s", type=float, default=30.0, help="event time from request to text")
    arguments.add_argument("--vectors", type=Path, help="an .npz of `ids` and `vectors` of items; default: drawn by tag")
    return arguments.parse_args()


def print_curve(
    materials: list[Material], outcomes: dict[str, Outcome], delay_ms: int, settings: Settings, curve: Sequence[int]
) -> None:
    """Calls against changes shown, for several `look_events`."""
    table = Table(title=f"LLM calls a 100 events, and changes shown within {WITHIN} events of the user")
    for heading in (
        "look_events",
        *(f"calls {material.name}" for material in materials),
        "shown",
        "by tag",
        "median events",
    ):
        table.add_column(heading, justify="right")
    for events in sorted({*curve, settings.profiler.look_events}):
        profiler = ProfilerSettings(**settings.profiler.model_dump() | {"look_events": events})
        tried = settings.model_copy(update={"profiler": profiler})
        default = events == settings.profiler.look_events
        found = outcomes if default else {m.name: Replay(m, tried, delay_ms).run() for m in materials}
        cells = [f"{calls_per_100(material, found[material.name]):.2f}" for material in materials]
        shop = found["shop"]
        table.add_row(f"{events}{' (default)' if default else ''}", *cells, *_shown(shop, shop.shown_at, shop.tag_shown_at))
    best = outcomes["shop"]
    table.add_row("a text at each event", *("100" for _ in materials), *_shown(best, best.sayable_at, best.tag_sayable_at))
    Console(width=110).print(table)


def _shown(outcome: Outcome, found_at: dict[str, int], tag_found_at: dict[str, int]) -> tuple[str, ...]:
    shares = (f"{100 * outcome.share_within(found):.1f} %" for found in (found_at, tag_found_at))
    median = statistics.median([found_at.get(user_id, NEVER) for user_id in outcome.counted])
    return *shares, "never" if median == NEVER else f"{median:.0f}"


def print_reasons(material: Material, outcome: Outcome) -> None:
    """Why texts were asked for."""
    events = material.events
    words = ", ".join(f"{reason} {100 * count / events:.2f}" for reason, count in outcome.reasons.most_common())
    print(f"{material.name}: {events} events of {material.users} users; calls a 100 events by reason: {words}")


def calls_per_100(material: Material, outcome: Outcome) -> float:
    """LLM calls a 100 events of all users, those without a profile included."""
    return 100 * outcome.calls / material.events


def report(materials: list[Material], outcomes: dict[str, Outcome], given: argparse.Namespace) -> dict[str, object]:
    """The last line."""
    shop = outcomes["shop"]
    return {
        "report": "bench-gate",
        "llm_calls_per_100_events": {m.name: round(calls_per_100(m, outcomes[m.name]), 3) for m in materials},
        "llm_calls_per_100_events_of_agreeing": {
            m.name: round(100 * outcomes[m.name].calls / m.events_of_agreeing, 3) for m in materials
        },
        "facts_worded_per_100_events": {m.name: round(100 * outcomes[m.name].facts / m.events, 3) for m in materials},
        "texts_per_100_events": {m.name: round(100 * outcomes[m.name].texts / m.events, 3) for m in materials},
        "changes_shown_within_20_events": round(shop.share_within(shop.shown_at), 4),
        "changes_sayable_within_20_events": round(shop.share_within(shop.sayable_at), 4),
        "changes_shown_within_20_events_by_tag": round(shop.share_within(shop.tag_shown_at), 4),
        "changes_sayable_within_20_events_by_tag": round(shop.share_within(shop.tag_sayable_at), 4),
        "changes": len(shop.counted),
        "users": {m.name: m.users for m in materials},
        "events": {m.name: m.events for m in materials},
        "delay_s": given.delay_s,
        "seed": given.seed,
    }


if __name__ == "__main__":
    main()
