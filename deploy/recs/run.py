"""`portrait eval recs` once its options are read: cut, compare, print, write."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.evaluation.progress import Steps
from deploy.machine import MachineMeter
from deploy.recs.comparison import Comparison, Outcome
from deploy.recs.contender import Params
from deploy.recs.cuts import PROTOCOLS, default_protocol, split_by, truncated
from deploy.recs.figures import as_json, figures
from deploy.recs.item_words import word_vectors
from deploy.recs.kept_columns import kept_in
from deploy.recs.line_up import chosen_models, line_up
from deploy.recs.page import write_page
from deploy.recs.recorded import RecordedData, read_folder
from deploy.recs.remembered import Remembered
from deploy.recs.split import Split
from deploy.recs.tables import print_tables, write_csv
from schemas.errors import ConfigError
from schemas.settings import load_settings

PLAIN_WIDTH = 130


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    data: Path
    mapping: str | None
    protocol: str | None
    models: str | None
    seeds: str
    truncate: int | None
    jobs: int
    threads: int | None
    peers_python: Path
    cache: Path | None
    csv: Path | None
    out: Path | None


def run(asked: Asked) -> None:
    """Measure with these options; the last line printed is JSON.

    Raises:
        ConfigError: an option, the folder or the data is wrong; found out before anything is trained.
    """
    names, seeds = chosen_models(asked.models), read_seeds(asked.seeds)
    if asked.protocol is not None and asked.protocol not in PROTOCOLS:
        raise ConfigError(f"no protocol {asked.protocol!r}; one of {', '.join(PROTOCOLS)}")
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)
    meter, began, steps = MachineMeter(), time.perf_counter(), Steps(console)
    settings = load_settings()
    with steps.step(f"reading {asked.data}"):
        data = read_folder(asked.data, asked.mapping, kept_in(settings))
    split = split_by(asked.protocol or default_protocol(data), data.interactions)
    if asked.truncate is not None:
        split = truncated(split, asked.truncate)
    about = described(data, split, asked)
    console.print(sentence(about), soft_wrap=True)
    outcomes = _compare(asked, names, seeds, data, split, steps, console)
    if all(one.missing is not None for one in outcomes):
        raise ConfigError("no model could be measured: " + "; ".join(f"{one.name}: {one.missing}" for one in outcomes))
    found = figures(outcomes, split, word_vectors(data.texts, data.tags))
    page = asked.out or settings.runtime.folder / "eval" / f"recs-{data.name}-{split.protocol}.html"
    report = {
        "report": "eval-recs",
        **about,
        **as_json(found, outcomes),
        "seeds": seeds,
        "jobs": asked.jobs,
        "threads": threads_of(asked),
        "seconds": round(time.perf_counter() - began, 1),
        **meter.report(),
    }
    console.print(
        "± 95 %: half the interval of NDCG@10; a band such as 1-5 (300): NDCG@10 of the 300 users with so many events"
    )
    print_tables(found, console)
    if asked.csv is not None:
        write_csv(asked.csv, found)
    write_page(page, found, report)
    console.print(f"HTML report: {page}", soft_wrap=True)
    print(json.dumps(report, ensure_ascii=False))


def threads_of(asked: Asked) -> int:
    """Of each process of a peer: as asked for, or so many that those which run at once keep every core busy."""
    return asked.threads or max(1, (os.cpu_count() or 1) // asked.jobs)


def read_seeds(text: str) -> list[int]:
    """The numbers of a text such as "1,2,3".

    Raises:
        ConfigError: it is something else.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {text!r}: whole numbers with commas between are expected, such as 1,2,3") from None
    if len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(f"--seeds {text!r}: each seed once, and none below 0")
    return seeds


def described(data: RecordedData, split: Split, asked: Asked) -> dict[str, Any]:
    """What was asked of whom: the report's first fields."""
    return {
        "data": data.name,
        "protocol": split.protocol,
        "truncate": asked.truncate,
        "users_asked": len(split.users),
        "truths": sum(len(truth) for truth in split.truths),
        "items": len(data.interactions.item_ids),
        "events": len(data.interactions),
        "events_known": len(split.train),
        "bad_rows": data.bad_rows,
        "cut_ms": split.cut_ms,
    }


def sentence(about: dict[str, Any]) -> str:
    """The same for people."""
    cut = f", everyone's last {about['truncate']} events before it known" if about["truncate"] else ""
    return (
        f"{about['data']}, {about['protocol']}{cut}: {about['users_asked']:,} users are asked for a list out of "
        f"{about['items']:,} items; {about['events_known']:,} of {about['events']:,} events are known, "
        f"{about['truths']:,} items are to be found, {about['bad_rows']:,} rows could not be used."
    )


def _compare(
    asked: Asked,
    names: Sequence[str],
    seeds: Sequence[int],
    data: RecordedData,
    split: Split,
    steps: Steps,
    console: Console,
) -> list[Outcome]:
    chosen: dict[str, Params] = {}
    keep = None if asked.cache is None else asked.cache / "peers"
    contenders = line_up(names, data, chosen, asked.peers_python, threads_of(asked), keep)

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    return Comparison(split, seeds, steps, Remembered(asked.cache), chosen, say, asked.jobs).run(contenders)
