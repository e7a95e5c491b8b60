"""A comparison as one HTML file that loads nothing: the table, plots, what was tried, all figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consumers.lists.diversity import METHODS
from deploy.evaluation.plots import STYLE, bars, escaped, scatter, trails, whiskers
from deploy.recs.dial import distance_gain, most_distance
from deploy.recs.figures import NDCG_TO_GIVE, Figures
from deploy.recs.measures import POOL
from deploy.recs.tables import gain_sentence


def write_page(path: Path, found: Figures, report: Mapping[str, Any]) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(found, report), encoding="utf-8")


def page(found: Figures, report: Mapping[str, Any]) -> str:
    """The whole page."""
    title = f"Recommendations: {report['data']}, {report['protocol']}"
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escaped(title)}</title>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<style>{STYLE}</style></head><body><h1>{escaped(title)}</h1>",
        f"<p>{escaped(_about(report))}</p><p><b>{escaped(gain_sentence(found))}</b></p>",
        _table(found),
        *(f"<p class='wrong'>{escaped(name)}: left out, {escaped(why)}</p>" for name, why in found.missing.items()),
        "<h2>Accuracy</h2>",
        whiskers("NDCG@10 with 95 % intervals over users", [(row.name, row.ndcg, *row.ndcg_interval) for row in found.rows]),
        bars("HR@10", [(row.name, row.hr) for row in found.rows], max(row.hr for row in found.rows)),
        *_gain_plot(found),
        "<h2>By length of history</h2>",
        *_history_plots(found),
        "<h2>Accuracy against variety</h2>",
        *_variety_plots(found),
        *_dial_plots(found),
        "<h2>Settings chosen on validation</h2>",
        *(f"<p class='sample'>{escaped(name)}: {escaped(params)}</p>" for name, params in report["settings"].items()),
        "<h2>All figures</h2><table>",
        *(f"<tr><td>{escaped(name)}</td><td>{escaped(value)}</td></tr>" for name, value in report.items()),
        "</table></body></html>",
    ]
    return "\n".join(parts)


def _about(report: Mapping[str, Any]) -> str:
    cut = f"every history cut to its last {report['truncate']} events, " if report["truncate"] else ""
    return (
        f"{report['users_asked']:,} users, {report['items']:,} items, {report['events_known']:,} events known, {cut}"
        f"seeds {report['seeds']}. {report['machine']}."
    )


def _table(found: Figures) -> str:
    bands = list(found.users_by_history)
    names = ["model", "NDCG@10", "HR@10", "recall@10", "MRR", "coverage@10", "diversity", "novelty"]
    names += [f"NDCG@10, {band} events ({users})" for band, users in found.users_by_history.items()]
    lines = []
    for row in found.rows:
        means = (row.ndcg, row.hr, row.recall, row.mrr, row.coverage, row.diversity, row.novelty)
        cells = [*means, *(row.by_history[band] for band in bands)]
        shown = "".join(f"<td>{'–' if value is None else format(value, '.4f')}</td>" for value in cells)
        lines.append(f"<tr><td>{escaped(row.name)}</td>{shown}</tr>")
    return f"<table><tr>{''.join(f'<th>{escaped(name)}</th>' for name in names)}</tr>{''.join(lines)}</table>"


def _gain_plot(found: Figures) -> list[str]:
    gains = {"all users": found.gain, **{f"{band} events": gain for band, gain in found.gain_by_history.items()}}
    rows = [(name, gain.mean, gain.low, gain.high) for name, gain in gains.items() if gain is not None]
    title = f"Gain in NDCG@10 over {found.best_peer}, as a share, with paired bootstrap intervals"
    return [whiskers(title, rows, zero=True)] if rows else []


def _history_plots(found: Figures) -> list[str]:
    most = max(value for row in found.rows for value in row.by_history.values())
    return [
        bars(f"NDCG@10, {band} events known ({users} users)", [(row.name, row.by_history[band]) for row in found.rows], most)
        for band, users in found.users_by_history.items()
    ]


def _variety_plots(found: Figures) -> list[str]:
    diverse = [(row.name, row.diversity, row.ndcg) for row in found.rows if row.diversity is not None]
    plots = [bars("Coverage@10: share of the catalogue in somebody's list", [(row.name, row.coverage) for row in found.rows])]
    if diverse:
        plots.append(scatter("NDCG@10 against diversity", "mean distance of two items of a list", "NDCG@10", diverse))
    covers = [(row.name, row.coverage, row.ndcg) for row in found.rows]
    return [*plots, scatter("NDCG@10 against coverage", "coverage@10", "NDCG@10", covers)]


def _dial_plots(found: Figures) -> list[str]:
    """One line a method, and what the dial gives at most for its price."""
    if not found.dial or (best := most_distance(found.dial, NDCG_TO_GIVE)) is None:
        return []
    start, gain = found.dial[0], distance_gain(found.dial, best)
    farther = "" if gain is None else f" ({gain:+.0%})"
    said = (
        f"The diversity dial on the best {POOL} of {found.dialled}: for at most {NDCG_TO_GIVE:.0%} of NDCG@10, distance goes "
        f"from {start.distance:.3f} to {best.distance:.3f}{farther}, by {best.setting.method} at {best.setting.dial:g}."
    )
    lines = {
        method.upper(): [
            (f"{one.setting.dial:g}", one.distance, one.ndcg)
            for one in found.dial
            if one.setting.method == method or one.setting.dial == 0
        ]
        for method in METHODS
    }
    plot = trails("NDCG@10 as the diversity dial is turned", "mean distance of two items of a list", "NDCG@10", lines)
    return [f"<p>{escaped(said)}</p>", plot]
