"""Policies judged from a log against what they are truly worth, in a shop whose users' taste is known.

    python -m tests.benchmarks.bench_feedback

The live path's lists are shown to made-up users, with a share left to chance; users look at a place with a known chance and
click by a known taste. A policy that the log was not made by is then judged by IPS and SNIPS, and by counting clicks alone.
The last line is JSON.
"""

import argparse
import json
import time

import numpy as np
from rich.console import Console

from deploy.feedback.estimators import (
    PolicyValue,
    Value,
    as_logged,
    as_ranked,
    at_random,
    examination,
    policy_value,
    reordered_value,
    reversed_order,
)
from deploy.feedback.shown_lists import ShownList, joined
from deploy.local.show import cell, table
from deploy.machine import MachineMeter
from tests.unit.feedback_world import LOOKED_AT, PLACES, World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="lists of each of the 150 users")
    parser.add_argument("--explore", type=float, default=0.15, help="share of each list that is left to chance")
    parser.add_argument("--seed", type=int, default=7, help="of the clicks")
    asked = parser.parse_args()
    meter, began = MachineMeter(), time.perf_counter()
    world = World(asked.explore, asked.seed)
    found = joined(*world.shown(asked.rounds), attribution_s=3600.0)
    truth, curve = world.true_values(), examination(found.lists, PLACES)
    judged = {
        "as logged": policy_value(found.lists, as_logged, PLACES),
        "ranked, nothing by chance": policy_value(found.lists, as_ranked, PLACES),
        "all by chance": policy_value(found.lists, at_random(found.lists), PLACES),
    }
    figures = {name: row(value, truth[name], counted(found.lists, name)) for name, value in judged.items()}
    other = reordered_value(found.lists, reversed_order, PLACES)
    figures["reversed"] = {"truth": round(truth["reversed"], 4), "snips": round(other.mean, 4), **interval(other)}
    shown = table("policy", "truth", "IPS", "SNIPS", "95 %", "by counting")
    for name, line in figures.items():
        values = [f"{line[key]:.4f}" if key in line else "" for key in ("truth", "ips", "snips")]
        counting = f"{line['counting']:.4f}" if "counting" in line else ""
        shown.add_row(*map(cell, (name, *values, f"{line['low']:.4f} to {line['high']:.4f}", counting)))
    Console().print(shown)
    places = [None if value is None else {"mean": round(value.mean, 3), **interval(value)} for value in curve]
    report = {
        "report": "bench-feedback",
        "lists": len(found.lists),
        "explore": asked.explore,
        "policies": figures,
        "examination": places,
        "examination_truth": [round(float(look), 3) for look in LOOKED_AT],
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - began, 1),
        **meter.report(),
    }
    print(json.dumps(report))


def row(value: PolicyValue, truth: float, counting: float) -> dict[str, float]:
    """One policy's figures."""
    return {
        "truth": round(truth, 4),
        "ips": round(value.ips.mean, 4),
        "snips": round(value.snips.mean, 4),
        **interval(value.snips),
        "covered": value.covered,
        "counting": round(counting, 4),
    }


def interval(value: Value) -> dict[str, float]:
    """Rounded."""
    return {"low": round(value.low, 4), "high": round(value.high, 4)}


def counted(lists: list[ShownList], policy: str) -> float:
    """Clicks on such items, as if a place did nothing and nothing stood there by chance."""
    wanted = {"ranked, nothing by chance": (False,), "all by chance": (True,)}.get(policy, (True, False))
    return PLACES * float(np.mean([item.clicked for one in lists for item in one.items if item.explored in wanted]))


if __name__ == "__main__":
    main()
