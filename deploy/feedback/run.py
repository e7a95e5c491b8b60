"""`portrait eval policy` once its options are read: join, estimate, print."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from consumers.lists.list_rules import MAIN
from deploy.feedback.estimators import (
    PolicyValue,
    Value,
    as_logged,
    as_ranked,
    at_random,
    by_search,
    by_source,
    examination,
    policy_value,
    popular_first,
    reordered_value,
    reversed_order,
)
from deploy.feedback.log_source import PolicyLog, read_files, read_topics
from deploy.feedback.shown_lists import CLICKS, Joined, ShownList, joined
from deploy.local.record import running_stack
from deploy.local.show import cell, table
from schemas.errors import ConfigError
from schemas.settings import load_settings

PLAIN_WIDTH = 120


def run(data: Path | None, attribution_s: float, seed: int, surface: str | None = None) -> None:
    """Estimate from this folder's files, or from the topics, for one surface; the last line printed is JSON.

    Raises:
        ConfigError: nothing was seen whose list is known.
    """
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=PLAIN_WIDTH)
    surface = None if surface == MAIN else surface
    log = read_files(data) if data is not None else read_topics(running_stack(load_settings()))
    found = joined(log.lists, log.impressions, log.events, attribution_s, surface)
    if not found.lists:
        why = "; ".join(f"{count} {reason}" for reason, count in found.left_out.items())
        raise ConfigError(
            f"no list was seen that can be judged ({why or 'there are no impressions'}): the site must send `impressions` "
            "with the list_id of what it shows (docs/feedback.md)"
        )
    report = figures(found, log, seed)
    _print(report, console)
    print(json.dumps({"report": "eval-policy", "surface": surface, **report}, ensure_ascii=False))


def figures(found: Joined, log: PolicyLog, seed: int) -> dict[str, Any]:
    """All that is told of a log."""
    lists = found.lists
    places = max(one.places for one in lists)
    sources = by_source(lists)
    shown = sum(count for count, _ in sources.values())
    curve = examination(lists, places, seed)
    policies = {"as logged": policy_value(lists, as_logged, places, seed)}
    if sources["exploration"][0]:
        tried = [one for one in lists if one.left_to_chance]  # the others say nothing of any other policy
        policies["ranked, nothing by chance"] = policy_value(tried, as_ranked, places, seed)
        policies["all by chance"] = policy_value(tried, at_random(tried), places, seed)
    orders = {"reversed": reversed_order, "popular first": popular_first(clicks_before(lists, log))}
    return {
        "lists": len(lists),
        "users": len({one.user_id for one in lists}),
        "items_shown": shown,
        "left_out": {**found.left_out, **{f"malformed in {name}": count for name, count in log.malformed.items()}},
        "clicks_per_item": {name: round(clicked / count, 5) for name, (count, clicked) in sources.items() if count},
        "clicks_by_source": {
            name: {"shown": count, "clicks_per_item": round(clicked / count, 5)}
            for name, (count, clicked) in by_search(lists).items()
        },
        "examination": [None if value is None else _rounded(value) for value in curve],
        "policies": {name: _as_dict(value) for name, value in policies.items()},
        "orders": {name: _rounded(reordered_value(lists, order, places, seed)) for name, order in orders.items()},
    }


def clicks_before(lists: list[ShownList], log: PolicyLog) -> Counter[str]:
    """How often items were turned to before any of these lists was seen, so that an order by it knows nothing of its judge."""
    first_ms = min(one.shown_at_ms for one in lists)
    return Counter(
        event.item_id for event in log.events if event.item_id and event.type in CLICKS and event.event_time_ms < first_ms
    )


def _rounded(value: Value) -> dict[str, float]:
    return {name: round(number, 4) for name, number in asdict(value).items()}


def _as_dict(value: PolicyValue) -> dict[str, Any]:
    return {
        "ips": _rounded(value.ips),
        "snips": _rounded(value.snips),
        "covered": round(value.covered, 3),
        "effective_items": value.effective_items,
        "largest_weight": value.largest_weight,
        "cut": value.cut,
    }


def _print(report: dict[str, Any], console: Console) -> None:
    console.print(f"{report['lists']:,} lists seen by {report['users']:,} users, {report['items_shown']:,} items in them")
    for reason, count in report["left_out"].items():
        console.print(cell(f"left out: {count:,} {reason}", "yellow"))
    values = table("lists made", "IPS", "SNIPS", "95 %", "places tried", "items it rests on")
    for name, value in report["policies"].items():
        ips, snips = value["ips"], value["snips"]
        interval = f"{snips['low']:.4f} to {snips['high']:.4f}"
        row = (name, f"{ips['mean']:.4f}", f"{snips['mean']:.4f}", interval, f"{value['covered']:.0%}")
        values.add_row(*map(cell, (*row, f"{value['effective_items']:,.0f}")))
    for name, value in report["orders"].items():
        interval = f"{value['low']:.4f} to {value['high']:.4f}"
        values.add_row(*map(cell, (f"the same items, {name}", "", f"{value['mean']:.4f}", interval, "", "")))
    console.print("Clicks a list:")
    console.print(values)
    found = table("proposed by", "items seen", "clicks an item")
    most = max((one["clicks_per_item"] for one in report["clicks_by_source"].values()), default=0) or 1
    for name, one in report["clicks_by_source"].items():
        bar = "█" * round(30 * one["clicks_per_item"] / most)
        found.add_row(*map(cell, (name, f"{one['shown']:,}", f"{one['clicks_per_item']:.3f} {bar}")))
    console.print("Clicks by what proposed an item (some are proposed by several):")
    console.print(found)
    looked = table("place", "looked at", "95 %")
    for place, value in enumerate(report["examination"], start=1):
        if value is not None:
            bar = "█" * round(30 * min(value["mean"], 1.5))
            looked.add_row(
                *map(cell, (str(place), f"{value['mean']:.2f} {bar}", f"{value['low']:.2f} to {value['high']:.2f}"))
            )
    if any(value is not None for value in report["examination"]):
        console.print("How much a place alone does, the first being 1, from items that stood there by chance:")
        console.print(looked)
    else:
        console.print(why_places_are_unknown(report["clicks_per_item"]), soft_wrap=True)


def why_places_are_unknown(clicks_per_item: Mapping[str, float]) -> str:
    """In one sentence, of clicks on what was ranked and on what was drawn."""
    if "exploration" not in clicks_per_item:
        return "Nothing was left to chance (PORTRAIT_PROFILER__EXPLORE_SHARE), so nothing is known of places or other lists"
    return "Nothing that chance put into the first place was clicked yet, so how much a place does is not known"
