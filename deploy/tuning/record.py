"""What made an adapter, kept beside it as training.json, so that its card can be written again after another measurement."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.tuning.training import Plan

FILE = "training.json"


def command_of(plan: Plan, steps_done: int) -> str:
    """The command line of a run, and where it was stopped when it did not come to its end."""
    rate = "" if plan.learning_rate is None else f" --learning-rate {plan.learning_rate}"
    start = "" if plan.start_from is None else f" --start-from {plan.start_from.name}"
    stopped = "" if steps_done == plan.steps else f"  # up to step {steps_done}"
    return (
        f"portrait tune narrator --method {plan.method} --rank {plan.rank} --steps {plan.steps} --batch {plan.batch}"
        f" --seed {plan.seed}{rate}{start}{stopped}"
    )


def write_record(folder: Path, plan: Plan, steps_done: int, facts: Mapping[str, Any]) -> None:
    """Note the commands behind the adapter in `folder`, those of the adapter it started from first, and `facts`."""
    before: Sequence[str] = [] if plan.start_from is None else read_record(plan.start_from).get("commands", [])
    record = {"commands": [*before, command_of(plan, steps_done)], **facts}
    (folder / FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> dict[str, Any]:
    """What is noted beside an adapter; empty when nothing is."""
    path = folder / FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
