"""The evaluation as one HTML file: plots as inline SVG, samples and faults. Every text in it is escaped: items are hostile."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.evaluation.plots import STYLE, bars, curve, escaped
from deploy.evaluation.report import sample_line
from deploy.evaluation.session import Findings, Verdict


def write_html(path: Path, findings: Findings, report: Mapping[str, Any]) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(findings, report), encoding="utf-8")


def page(findings: Findings, report: Mapping[str, Any]) -> str:
    """The whole page; it loads nothing from elsewhere."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Portrait: profiles evaluated</title>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{STYLE}</style></head><body><h1>Profiles evaluated</h1>",
        f"<p>{escaped(report['machine'])}, seed {escaped(report['seed'])}, {escaped(report['llm'])}.</p>",
        *_support_plots(report),
        *_retrieval_plot(report),
        *_change_plot(findings),
        "<h2>Interests taken back, edits and mutes, attacks</h2>",
        _cases_table(report),
        *_verdicts("Interests still asserted", findings.reversal),
        *_verdicts("Edits and mutes not obeyed", findings.orders),
        *_verdicts("Attacks followed", findings.attacks),
        "<h2>Faults that the second method found</h2>",
        *_lines(
            f"{name} {language}: {fault}" for (name, language), score in findings.scores.items() for fault in score.faults
        ),
        "<h2>Sentences that the guard refused</h2>",
        *_lines(f"{name} {language}: {text}" for (name, language), score in findings.scores.items() for text in score.refused),
        "<h2>Profiles to read</h2><p>L: by the LLM, p: plain.</p>",
        *_lines(sample_line(author) for author in findings.samples),
        "<h2>What attacked users' profiles say</h2>",
        *_lines(f"{one.way} {one.language}: {one.text}" for one in findings.attacks),
        f"<h2>All figures</h2>{_all_figures(report)}",
        "</body></html>",
    ]
    return "\n".join(parts)


def _support_plots(report: Mapping[str, Any]) -> list[str]:
    rows = [(f"{name} {language}", told) for name, own in report["by_data"].items() for language, told in own.items()]
    shown = {
        "support_rate": "Statements that their evidence supports",
        "entities_true": "Entities in texts that are the user's",
        "numbers_true": "Numbers in texts that are the user's",
        "llm_share": "Profiles whose every sentence the LLM wrote",
        "llm_share_first_attempt": "The same at the first attempt",
    }
    return [
        "<h2>Statements and texts</h2>",
        *(bars(title, [(name, told[key]) for name, told in rows]) for key, title in shown.items()),
    ]


def _retrieval_plot(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (f"{name} {language}, {which.replace('_', ' ')}", rates[which])
        for name, own in report["retrieval"].items()
        for language, rates in own.items()
        for which in ("profile", "vector", "popularity", "popularity_in_language")
    ]
    title = "HR@10 of the held-out item: the text alone as query, and popularity"
    return ["<h2>Profile-only retrieval</h2>", bars(title, rows, max((value for _, value in rows), default=1.0))]


def _change_plot(findings: Findings) -> list[str]:
    found = findings.gate.get("shop")
    if found is None or not found[1].counted:
        return []
    outcome = found[1]
    points = [(float(within), outcome.share_within(outcome.shown_at, within)) for within in range(21)]
    return [
        "<h2>Changes of interest</h2>",
        curve("Share of true changes that a text shows, by events of the user since", points),
    ]


def _cases_table(report: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{escaped(kind)}</td><td>{escaped(way)}</td>"
        f"<td class='{'wrong' if bad else ''}'>{bad}</td><td>{cases}</td></tr>"
        for kind in ("reversal_by_way", "edits_by_way", "attacks_by_place")
        for way, (bad, cases) in report[kind].items()
    ]
    return f"<table><tr><th></th><th>way</th><th>wrong</th><th>cases</th></tr>{''.join(rows)}</table>"


def _verdicts(title: str, verdicts: Sequence[Verdict]) -> list[str]:
    bad = [one for one in verdicts if one.faults]
    told = [f"{one.way} {one.language}, {one.name[:80]}: {', '.join(one.faults)}: {one.text}" for one in bad]
    return [f"<h3>{escaped(title)}: {len(bad)} of {len(verdicts)}</h3>", *_lines(told)]


def _lines(texts: Any) -> list[str]:
    return [f"<p class='sample'>{escaped(text)}</p>" for text in texts]


def _all_figures(report: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><td>{escaped(name)}</td><td>{escaped(value)}</td></tr>" for name, value in report.items())
    return f"<table>{rows}</table>"
