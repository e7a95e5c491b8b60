"""A comparison's figures in the terminal and as CSV."""

import csv
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.show import cell, table
from deploy.recs.bootstrap import Gain
from deploy.recs.comparison import LIVE, OURS
from deploy.recs.figures import Figures, Row


def print_tables(found: Figures, console: Console) -> None:
    """All models, then who was left out, then what ours gains."""
    console.print(_main_table(found))
    for name, why in found.missing.items():
        console.print(cell(f"{name}: left out, {why}", "yellow"), soft_wrap=True)
    console.print(cell(gain_sentence(found)), soft_wrap=True)


def gain_sentence(found: Figures) -> str:
    """What ours is worth against the best peer."""
    if found.best_peer is None:
        return "No peer was measured."
    if found.gain is None:
        return f"The best peer is {found.best_peer}."
    bands = "; ".join(f"{band} events: {_percent(gain)}" for band, gain in found.gain_by_history.items() if gain is not None)
    served = "" if found.served_gain is None else f" What is served, {LIVE}: {_percent(found.served_gain)}."
    return (
        f"{found.ours} against {found.best_peer}, the best peer: NDCG@10 {_percent(found.gain)}.{served} By history, {bands}."
    )


def _percent(gain: Gain) -> str:
    return f"{100 * gain.mean:+.1f} % (95 %: {100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _main_table(found: Figures) -> Table:
    bands = list(found.users_by_history)
    headings = [f"{band} ({users})" for band, users in found.users_by_history.items()]
    made = table("model", "NDCG@10", "± 95 %", "HR@10", "recall", "MRR", "cover", "divers", "novel", *headings)
    for row in found.rows:
        values = [
            f"{row.ndcg:.4f}",
            f"{(row.ndcg_interval[1] - row.ndcg_interval[0]) / 2:.3f}",
            f"{row.hr:.4f}",
            f"{row.recall:.4f}",
            f"{row.mrr:.4f}",
            f"{row.coverage:.3f}",
            "–" if row.diversity is None else f"{row.diversity:.3f}",
            f"{row.novelty:.2f}",
            *(f"{row.by_history[band]:.4f}" for band in bands),
        ]
        style = "bold" if row.name in (OURS, LIVE) else ""
        made.add_row(cell(row.name, style), *(cell(value, style) for value in values))
    return made


def write_csv(path: Path, found: Figures) -> None:
    """One line a model; those left out have only their name and the reason."""
    bands = list(found.users_by_history)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(
            [
                "model",
                "ndcg10",
                "ndcg10_low",
                "ndcg10_high",
                "hr10",
                "recall10",
                "mrr",
                "coverage10",
                "diversity10",
                "novelty10",
            ]
            + [f"ndcg10_history_{band}" for band in bands]
            + ["left_out"]
        )
        lines.writerows(_cells(row, bands) for row in found.rows)
        lines.writerows([name, *[""] * (9 + len(bands)), why] for name, why in found.missing.items())


def _cells(row: Row, bands: list[str]) -> list[object]:
    means = [row.ndcg, *row.ndcg_interval, row.hr, row.recall, row.mrr, row.coverage, row.diversity, row.novelty]
    return [row.name, *means, *(row.by_history[band] for band in bands), ""]
