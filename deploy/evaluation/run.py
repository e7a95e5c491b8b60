"""`portrait eval profiles` once its options are read: measure, write the page, print."""

import json
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from deploy.evaluation.html_report import write_html
from deploy.evaluation.report import figures, print_report
from deploy.evaluation.session import Plan, Session
from deploy.machine import MachineMeter
from schemas.settings import load_settings

PLAIN_WIDTH = 130
QUICK = {"per_way": 2, "per_order": 4, "gate_users": 60, "gate_events": 3000, "gate_data_users": 10, "attacks_each": 1}
QUICK_USERS = 16


def run(users: int, data: Path | None, seed: int, quick: bool, threads: int, fresh: bool, out: Path | None) -> None:
    """Measure with these options; the last line printed is JSON."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    meter, started, settings = MachineMeter(), time.perf_counter(), load_settings()
    plan = Plan(users=users, data=data, seed=seed)
    if quick:
        plan = replace(plan, users=min(users, QUICK_USERS), **QUICK)  # type: ignore[arg-type]
    session = Session(plan, settings, console, threads, fresh)
    findings = session.run()
    page = out or settings.runtime.folder / "eval" / "profiles.html"
    report = figures(findings, plan) | {
        "quick": quick,
        "llm": f"{settings.models.profile_llm} + {session.model.adapter.name if session.model.adapter else 'no adapter'}",
        "prompt": settings.narrator.prompt,
        "texts_written": session.desk.written,
        "texts_of_earlier_runs": session.desk.remembered,
        "tokens_written": session.model.tokens,
        "threads": threads,
        "step_seconds": session.steps.seconds,
        "seconds": round(time.perf_counter() - started, 1),
        **meter.report(),
    }
    write_html(page, findings, report)
    print_report(findings, report, console)
    console.print(f"HTML report: {page}", soft_wrap=True, markup=False)
    print(json.dumps(report, ensure_ascii=False))
