"""What a demo found: a table for people, cards of some users, and one line of JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.collector import written_by_llm
from deploy.demo.run import Outcome
from deploy.display import shown
from deploy.machine import MachineMeter
from schemas.messages import Recommendations, UserProfile

LIST_SHOWN = 5
USERS_SHOWN = 5
DIFFERENCES_SHOWN = 5


@dataclass(frozen=True)
class Percentiles:
    """p50, p95 and p99 in ms; None when nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Percentiles":
        """Percentiles of these latencies."""
        if not values:
            return cls(None, None, None)
        p50, p95, p99 = (round(float(value), 1) for value in np.percentile(values, (50, 95, 99)))
        return cls(p50, p95, p99)

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return {"p50": self.p50, "p95": self.p95, "p99": self.p99}

    def __str__(self) -> str:
        if self.p50 is None:
            return "none measured"
        return f"p50 {self.p50:,.1f} · p95 {self.p95:,.1f} · p99 {self.p99:,.1f} ms"


def report(outcome: Outcome, meter: MachineMeter) -> dict[str, Any]:
    """The figures, as the last line of the demo prints them.

    `fold_mismatches` counts users whose state differs from the plain fold, or whose state does not hold as many events as
    were sent. `lists_per_s` is by the clock, of everything while all events left are sent at once and committed; `users_per_s`
    is of user_encoder, ranking and policy alone. `dead_letters_intact` says that the dead letters are exactly the malformed
    messages, byte for byte. `meter` was made before the demo.
    """
    seen = outcome.collector.seen
    return {
        "report": "demo",
        "data": outcome.source.name,
        "events": outcome.verdict.events,
        "events_sent": outcome.sent.events,
        "users_with_lists": len(seen.lists),
        "users_without_list": sum(user_id not in seen.lists for user_id in outcome.verdict.event_counts),
        "lists": seen.list_count,
        "profiles": len(seen.profiles),
        "profiles_by_llm": sum(map(written_by_llm, seen.profiles.values())),
        "profiles_published": seen.profile_count,
        "dead_letters": seen.dead_letters.total(),
        "dead_letters_intact": seen.dead_letters == outcome.malformed_sent,
        "events_per_s": round(outcome.burst_events / outcome.burst_s, 1) if outcome.burst_events else None,
        "lists_per_s": round(outcome.lists_in_burst / outcome.burst_s, 1) if outcome.burst_events else None,
        "users_per_s": round(outcome.lists_in_burst / outcome.list_stage_s, 1) if outcome.list_stage_s else None,
        "list_latency_ms": Percentiles.of(paced_latencies(outcome)).as_dict(),
        "profile_latency_ms": Percentiles.of(seen.profile_latencies_ms).as_dict(),
        "llm_tokens_per_s": round(outcome.tokens_per_s, 1),
        "fold_mismatches": len(outcome.verdict.differing.keys() | outcome.wrong_counts.keys()),
        "workers_restarted": outcome.workers_restarted,
        "seed": outcome.source.seed,
        **meter.report(),
    }


def paced_latencies(outcome: Outcome) -> list[float]:
    """Latencies of lists in the paced stage; in the burst they would measure the queue."""
    return outcome.collector.seen.list_latencies_between(*outcome.paced_span_ms)


def show_outcome(console: Console, outcome: Outcome, figures: dict[str, Any]) -> None:
    """Cards of some users, then the table."""
    seen = outcome.collector.seen
    for user_id in _users_to_show(outcome):
        console.print(card(user_id, seen.profiles.get(user_id), seen.lists.get(user_id)))
    console.print(_table(outcome, figures))
    for user_id, why in list({**outcome.verdict.differing, **outcome.wrong_counts}.items())[:DIFFERENCES_SHOWN]:
        console.print(Text(shown(f"differs: {user_id}: {why}", 400), style="red"))


def _users_to_show(outcome: Outcome) -> list[str]:
    wanted = list(outcome.source.shown_users)
    profiles = outcome.collector.seen.profiles
    by_llm = [user_id for user_id, profile in profiles.items() if written_by_llm(profile) and user_id not in wanted]
    return (wanted + by_llm + [user_id for user_id in profiles if user_id not in wanted])[: max(USERS_SHOWN, len(wanted))]


def card(user_id: str, profile: UserProfile | None, recommendations: Recommendations | None) -> Panel:
    """One user: the profile's sentences with who wrote each, their evidence, and the top of the list."""
    parts: list[RenderableType] = []
    if profile is None:
        parts.append(Text("no profile", style="dim"))
    else:
        parts += [_sentence(sentence.text, sentence.source) for sentence in profile.summary]
        evidence = "; ".join(
            f"{statement.stance} {statement.topic}{'' if statement.value is None else ' ' + statement.value} "
            f"← {', '.join(statement.evidence)}"
            for statement in profile.statements
        )
        parts.append(Text(shown(evidence, 600), style="dim"))
    if recommendations is None:
        parts.append(Text("no list", style="dim"))
    else:
        for rank, item in enumerate(recommendations.items[:LIST_SHOWN], start=1):
            reasons = ", ".join(f"{reason.kind} {reason.detail}".strip() for reason in item.reasons)
            parts.append(Text(f"{rank:2}. {shown(item.title, 60)}  {item.score:.2f}  ({shown(reasons, 80)})"))
    return Panel(Group(*parts), title=Text(shown(user_id, 40)), title_align="left")


def _sentence(text: str, source: str) -> Text:
    mark, style = {"llm": ("LLM  ", "bold green"), "plain": ("plain", "bold yellow")}[source]
    return Text.assemble((f"[{mark}] ", style), shown(text, 400))


def _table(outcome: Outcome, figures: dict[str, Any]) -> Table:
    table = Table(title=f"Portrait demo: {shown(outcome.source.name, 40)}", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    seen = outcome.collector.seen
    span_s = (outcome.paced_span_ms[1] - outcome.paced_span_ms[0]) / 1000
    rows = {
        "events": f"{figures['events']:,} in state of {figures['events_sent']:,} sent",
        "users with a list": f"{figures['users_with_lists']:,} ({seen.list_count:,} lists published)",
        "profiles": f"{figures['profiles']:,}, {figures['profiles_by_llm']:,} of them by the LLM "
        f"({seen.profile_count:,} texts published)",
        "event to list": f"{Percentiles.of(paced_latencies(outcome))} over {span_s:.0f} s of live events",
        "event to profile": str(Percentiles.of(seen.profile_latencies_ms)),
        "events through state": f"{figures['events_per_s'] or 0:,.0f} a second ({outcome.burst_events:,} at once)",
        "lists refreshed": f"{figures['lists_per_s'] or 0:,.0f} a second, from the first event of those to the last commit",
        "user_encoder and top-k": f"{figures['users_per_s'] or 0:,.0f} users a second",
        "profile_llm": f"{figures['llm_tokens_per_s']:,.1f} tokens a second while texts were asked for",
        "dead letters": f"{figures['dead_letters']:,} "
        f"({'exactly what was malformed' if figures['dead_letters_intact'] else 'NOT what was malformed'})",
        "plain fold": f"{outcome.verdict.users:,} users compared, {figures['fold_mismatches']:,} differ",
        "machine": f"{'unknown' if figures['cpu_steal_percent'] is None else figures['cpu_steal_percent']} % of its CPU time "
        f"was stolen by the host; {figures['python_loops_per_s']:,} loops of plain Python a second on one core",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
