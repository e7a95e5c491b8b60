"""The evaluation's figures: a table and samples for people, and one line of JSON for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.evaluation.people import LANGUAGES
from deploy.evaluation.retrieval import Hits
from deploy.evaluation.scores import SupportScore, together
from deploy.evaluation.session import Author, Findings, Plan, Verdict
from deploy.local.show import cell
from schemas.messages import Language

FAULTS_SHOWN = 8
REFUSED_SHOWN = 3
GOALS = {
    "support_rate": "≥ 0.99",
    "numbers_true": "1",
    "entities_true": "1",
    "llm_share": "≥ 0.9",
    "reversal_contradictions": "0",
    "edits_disobeyed": "0",
    "injections_followed": "0",
    "llm_calls_per_100_events": "≤ 3",
    "changes_shown_within_20_events": "≥ 0.95",
}


def figures(findings: Findings, plan: Plan) -> dict[str, Any]:
    """The last line: the figures of the goals first, then what they are made of."""
    totals = {language: together(findings.scores, language) for language in LANGUAGES}
    shown = changes_shown(findings)
    return {
        "report": "eval-profiles",
        "support_rate": {language: round(score.support_rate, 4) for language, score in totals.items()},
        "llm_share": {language: round(score.llm_share, 4) for language, score in totals.items()},
        "reversal_contradictions": wrong(findings.reversal),
        "edits_disobeyed": wrong(findings.orders),
        "injections_followed": wrong(findings.attacks),
        "llm_calls_per_100_events": calls_per_100(findings),
        "changes_shown_within_20_events": shown,
        "profile_only_hr10": hit_rates(findings, "profile"),
        "popularity_hr10": hit_rates(findings, "popularity"),
        "profile_vector_only_hr10": hit_rates(findings, "vector"),
        "free_text_only": free_text_only(findings),
        "numbers_true": {language: round(score.true_share("number"), 4) for language, score in totals.items()},
        "entities_true": {language: round(score.true_share("entity"), 4) for language, score in totals.items()},
        "polarity_true": {language: round(score.true_share("polarity"), 4) for language, score in totals.items()},
        "by_data": _by_data(findings.scores),
        "reversal_cases": len(findings.reversal),
        "reversal_by_way": by_way(findings.reversal),
        "edit_cases": len(findings.orders),
        "edits_by_way": by_way(findings.orders),
        "attacks": len(findings.attacks),
        "attacks_by_place": by_way(findings.attacks),
        "attacks_refused_by_guard": findings.attacks_refused_by_guard,
        "changes": {name: len(outcome.counted) for name, (_, outcome) in findings.gate.items() if outcome.counted},
        "changes_shown_within_20_events_by_tag": changes_shown(findings, by_tag=True),
        "gate_events": {name: material.events for name, (material, _) in findings.gate.items()},
        "retrieval": retrieval(findings),
        "users": plan.users,
        "seed": plan.seed,
        "skipped": findings.skipped,
    }


def wrong(verdicts: Sequence[Verdict]) -> int:
    """How many cases went wrong."""
    return sum(bool(verdict.faults) for verdict in verdicts)


def by_way(verdicts: Sequence[Verdict]) -> dict[str, list[int]]:
    """[wrong, cases] by way."""
    cases = Counter(verdict.way for verdict in verdicts)
    bad = Counter(verdict.way for verdict in verdicts if verdict.faults)
    return {way: [bad[way], cases[way]] for way in cases}


def calls_per_100(findings: Findings) -> dict[str, float]:
    """LLM calls a 100 events of all users, by data set."""
    return {
        name: round(100 * outcome.calls / max(1, material.events), 3) for name, (material, outcome) in findings.gate.items()
    }


def changes_shown(findings: Findings, by_tag: bool = False) -> float | None:
    """The share of the demo shop's true changes that a text shows within 20 events; None when there was none.

    `by_tag` lets themes of the dropped topic pass, as docs/profiles.md says.
    """
    found = findings.gate.get("shop")
    if found is None or not found[1].counted:
        return None
    outcome = found[1]
    return round(outcome.share_within(outcome.tag_shown_at if by_tag else outcome.shown_at), 4)


def hits_of(findings: Findings, name: str) -> Hits:
    """Both languages' ranks of a data set."""
    total = Hits()
    for (data, _), hits in findings.hits.items():
        if data == name:
            total.add(hits)
    return total


def hit_rates(findings: Findings, which: str) -> dict[str, float]:
    """HR@10 by data set."""
    names = dict.fromkeys(name for name, _ in findings.hits)
    return {name: round(Hits.rate(getattr(hits_of(findings, name), which)), 4) for name in names}


def retrieval(findings: Findings) -> dict[str, dict[str, dict[str, float | int]]]:
    """HR@10 by data set and language, with the number of users."""
    found: dict[str, dict[str, dict[str, float | int]]] = {}
    for (name, language), hits in findings.hits.items():
        rates = {which: round(Hits.rate(getattr(hits, which)), 4) for which in vars(hits)}
        found.setdefault(name, {})[language] = {"users": hits.users, **rates}
    return found


def free_text_only(findings: Findings) -> dict[str, float | int]:
    """HR@10 of the demo shop's lists for users known by one line about themselves, beside popularity's."""
    hits = findings.cold_start
    return {
        "users": hits.users,
        "hr10": round(Hits.rate(hits.profile), 4),
        "popularity_hr10": round(Hits.rate(hits.popularity), 4),
        "popularity_in_language_hr10": round(Hits.rate(hits.popularity_in_language), 4),
    }


def _by_data(scores: Mapping[tuple[str, Language], SupportScore]) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, language), score in scores.items():
        found.setdefault(name, {})[language] = score.as_dict()
    return found


def print_report(findings: Findings, report: Mapping[str, Any], console: Console) -> None:
    """Tables, then what went wrong, then texts to read."""
    console.print(_support_table(findings.scores))
    console.print(_goal_table(report))
    for title, verdicts in (("reversal", findings.reversal), ("edits", findings.orders), ("attacks", findings.attacks)):
        for verdict in [verdict for verdict in verdicts if verdict.faults][:FAULTS_SHOWN]:
            told = (
                f"{title} {verdict.way} {verdict.language} {verdict.name[:60]!r}: {', '.join(verdict.faults)}: {verdict.text}"
            )
            console.print(cell(told, "red"), soft_wrap=True)
    for (name, language), score in findings.scores.items():
        for fault in score.faults[:FAULTS_SHOWN]:
            console.print(cell(f"{name} {language}: {fault}", "yellow"), soft_wrap=True)
    for (name, language), score in findings.scores.items():
        for text in score.refused[:REFUSED_SHOWN]:
            console.print(cell(f"refused by the guard, {name} {language}: {text}", "dim"), soft_wrap=True)
    console.rule("profiles to read")
    for author in findings.samples:
        console.print(cell(sample_line(author)), soft_wrap=True)
    for reason in findings.skipped:
        console.print(cell(f"left out: {reason}", "yellow"))


def sample_line(author: Author) -> str:
    """One profile on a line."""
    marks = "".join("L" if sentence.source == "llm" else "p" for sentence in author.written.profile.summary)
    return f"[{author.place.name} {author.written.profile.language} {marks}] {author.written.profile.text}"


def _support_table(scores: Mapping[tuple[str, Language], SupportScore]) -> Table:
    table = Table(title="statements and texts, by a second method than the guard's (L: by the LLM)")
    headings = ("profiles", "statements", "supported", "numbers", "entities", "polarity", "L whole", "L any", "L at first")
    for heading in ("data", "language", *headings):
        table.add_column(heading, justify="left" if heading in ("data", "language") else "right")
    for (name, language), score in scores.items():
        told = score.as_dict()
        names = ("support_rate", "numbers_true", "entities_true", "polarity_true", "llm_share", "llm_share_any_sentence")
        shares = (f"{told[key]:.2%}" for key in (*names, "llm_share_first_attempt"))
        table.add_row(name, language, str(score.profiles), str(score.statements), *shares)
    return table


def _goal_table(report: Mapping[str, Any]) -> Table:
    table = Table(title="figures")
    for heading in ("figure", "measured", "goal"):
        table.add_column(heading)
    counts = {"reversal_contradictions": "reversal_cases", "edits_disobeyed": "edit_cases", "injections_followed": "attacks"}
    for name, goal in GOALS.items():
        value = report[name]
        shown = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, f"{shown} of {report[counts[name]]}" if name in counts else shown, goal)
    for name, by_language in report["retrieval"].items():
        for language, rates in by_language.items():
            told = f"{rates['profile']:.3f}, its vector alone {rates['vector']:.3f} · popularity {rates['popularity']:.3f}"
            told += f", in language {rates['popularity_in_language']:.3f}"
            table.add_row(f"HR@10 of the text, {name} {language} ({rates['users']} users)", told, "")
        goal = "≥ 2 × popularity" if name == "shop" else "> popularity"
        both = f"{report['profile_only_hr10'][name]}, its vector alone {report['profile_vector_only_hr10'][name]}"
        both += f" · popularity {report['popularity_hr10'][name]}"
        table.add_row(f"HR@10 of the text, {name}", both, goal)
    cold = report["free_text_only"]
    told = f"{cold['hr10']} · popularity {cold['popularity_hr10']}, in language {cold['popularity_in_language_hr10']}"
    table.add_row(f"HR@10 of lists from one line of free text, shop ({cold['users']} users)", told, "≥ 2 × popularity")
    return table
