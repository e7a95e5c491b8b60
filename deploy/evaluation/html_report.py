"""The evaluation as one HTML file: plots as inline SVG, samples and faults. Every text in it is escaped: items are hostile."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from deploy.evaluation.report import sample_line, visible
from deploy.evaluation.session import Findings, Verdict

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1,h2{line-height:1.2}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;text-align:left;
border-bottom:1px solid #dde3ea;vertical-align:top}.wrong{color:#b3261e}svg{display:block;margin:1rem 0}
text{font:12px system-ui,sans-serif;fill:#1c2430}.bar{fill:#3b6fb6}.other{fill:#b8c4d2}.line{fill:none;stroke:#3b6fb6;
stroke-width:2}.grid{stroke:#dde3ea}.sample{margin:.5rem 0;padding:.4rem .7rem;background:#f4f6f9}"""
WIDTH, ROW, LEFT = 640, 26, 250


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
        f"<p>{_text(report['machine'])}, seed {_text(report['seed'])}, {_text(report['llm'])}.</p>",
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


def _text(value: object) -> str:
    return escape(visible(str(value)))


def bars(title: str, rows: Sequence[tuple[str, float]], most: float = 1.0) -> str:
    """Horizontal bars, each with its value."""
    height = 30 + ROW * len(rows)
    parts = [f"<svg viewBox='0 0 {WIDTH + 60} {height}' width='{WIDTH + 60}' height='{height}' role='img'>"]
    parts.append(f"<text x='0' y='16' font-weight='bold'>{_text(title)}</text>")
    for number, (name, value) in enumerate(rows):
        y, width = 28 + ROW * number, (WIDTH - LEFT) * min(1.0, value / most if most else 0.0)
        parts.append(f"<text x='0' y='{y + 14}'>{_text(name)}</text>")
        parts.append(f"<rect class='other' x='{LEFT}' y='{y}' width='{WIDTH - LEFT}' height='18'/>")
        parts.append(f"<rect class='bar' x='{LEFT}' y='{y}' width='{width:.1f}' height='18'/>")
        parts.append(f"<text x='{WIDTH + 6}' y='{y + 14}'>{value:.4g}</text>")
    return "".join([*parts, "</svg>"])


def curve(title: str, points: Sequence[tuple[float, float]]) -> str:
    """A line of shares (0 to 1) over a count."""
    most = max((x for x, _ in points), default=1.0) or 1.0
    placed = " ".join(f"{40 + 560 * x / most:.1f},{190 - 160 * y:.1f}" for x, y in points)
    grid = "".join(
        f"<line class='grid' x1='40' x2='600' y1='{190 - 160 * y}' y2='{190 - 160 * y}'/>"
        f"<text x='4' y='{194 - 160 * y}'>{y}</text>"
        for y in (0, 0.25, 0.5, 0.75, 1)
    )
    ticks = "".join(
        f"<text x='{36 + 560 * x / most:.1f}' y='208'>{x:g}</text>" for x, _ in points[:: max(1, len(points) // 10)]
    )
    head = f"<text x='0' y='16' font-weight='bold'>{_text(title)}</text>"
    line = f"<polyline class='line' points='{placed}'/>"
    return f"<svg viewBox='0 0 640 214' width='640' height='214' role='img'>{head}{grid}{ticks}{line}</svg>"


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
        f"<tr><td>{_text(kind)}</td><td>{_text(way)}</td><td class='{'wrong' if bad else ''}'>{bad}</td><td>{cases}</td></tr>"
        for kind in ("reversal_by_way", "edits_by_way", "attacks_by_place")
        for way, (bad, cases) in report[kind].items()
    ]
    return f"<table><tr><th></th><th>way</th><th>wrong</th><th>cases</th></tr>{''.join(rows)}</table>"


def _verdicts(title: str, verdicts: Sequence[Verdict]) -> list[str]:
    bad = [one for one in verdicts if one.faults]
    told = [f"{one.way} {one.language}, {one.name[:80]}: {', '.join(one.faults)}: {one.text}" for one in bad]
    return [f"<h3>{_text(title)}: {len(bad)} of {len(verdicts)}</h3>", *_lines(told)]


def _lines(texts: Any) -> list[str]:
    return [f"<p class='sample'>{_text(text)}</p>" for text in texts]


def _all_figures(report: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in report.items())
    return f"<table>{rows}</table>"
