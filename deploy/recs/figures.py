"""A comparison's figures: one row a model, ours against the best peer, and the JSON of the last line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from deploy.recs.bootstrap import Gain, mean_interval, paired_gain
from deploy.recs.comparison import LIVE, OURS, Outcome
from deploy.recs.dial import DialPoint, dial_curve, distance_gain, most_distance
from deploy.recs.measures import coverage, diversity, history_bands, novelty
from deploy.recs.split import Split

NDCG_TO_GIVE = 0.03
"""The share of NDCG@10 that variety may cost."""


@dataclass(frozen=True)
class Row:
    """One model's means, of all users asked and by history length."""

    name: str
    ndcg: float
    ndcg_interval: tuple[float, float]
    hr: float
    recall: float
    mrr: float
    coverage: float
    diversity: float | None
    novelty: float
    by_history: Mapping[str, float]
    by_seed: Sequence[float]


@dataclass(frozen=True)
class Figures:
    """All rows in the order of NDCG@10, who was left out and why, and what `ours` gains over the best peer.

    `ours` is the whole recommender, or the live path's where that alone was measured; `served_gain` is the live path's over
    the best peer, where both of ours were. `dial` is the diversity dial's curve of
    the model `dialled`: ours, or the best peer where ours was not measured.
    """

    rows: Sequence[Row]
    missing: Mapping[str, str]
    users_by_history: Mapping[str, int]
    ours: str | None
    best_peer: str | None
    gain: Gain | None
    gain_by_history: Mapping[str, Gain | None]
    served_gain: Gain | None
    dialled: str | None
    dial: Sequence[DialPoint]

    def row(self, name: str) -> Row:
        """A model's row."""
        return next(row for row in self.rows if row.name == name)


def figures(outcomes: Sequence[Outcome], split: Split, vectors: sparse.csr_matrix | None) -> Figures:
    """From what each model gained."""
    measured = {one.name: one for one in outcomes if one.missing is None}
    bands = history_bands(split)
    rows = sorted((_row(one, split, vectors) for one in measured.values()), key=lambda row: -row.ndcg)
    peers = [row.name for row in rows if row.name not in (OURS, LIVE)]
    best = peers[0] if peers else None
    ours = next((name for name in (OURS, LIVE) if name in measured), None)
    dialled = ours or best
    gain, served_gain, by_history = None, None, {}
    if best is not None and ours is not None:
        own, theirs = measured[ours].mean("ndcg"), measured[best].mean("ndcg")
        gain = paired_gain(own, theirs)
        by_history = {name: paired_gain(own[chosen], theirs[chosen]) for name, chosen in bands.items()}
        if ours != LIVE and LIVE in measured:
            served_gain = paired_gain(measured[LIVE].mean("ndcg"), theirs)
    return Figures(
        rows=rows,
        missing={one.name: one.missing for one in outcomes if one.missing is not None},
        users_by_history={name: int(chosen.sum()) for name, chosen in bands.items()},
        ours=ours,
        best_peer=best,
        gain=gain,
        gain_by_history=by_history,
        served_gain=served_gain,
        dialled=dialled,
        dial=dial_curve(measured[dialled], split, vectors) if dialled is not None else [],
    )


def _row(outcome: Outcome, split: Split, vectors: sparse.csr_matrix | None) -> Row:
    lists = [one.lists for one in outcome.by_seed]
    ndcg, distances = outcome.mean("ndcg"), [diversity(one, vectors) for one in lists]
    known = [distance for distance in distances if distance is not None]
    return Row(
        name=outcome.name,
        ndcg=float(ndcg.mean()),
        ndcg_interval=mean_interval(ndcg),
        hr=float(outcome.mean("hr").mean()),
        recall=float(outcome.mean("recall").mean()),
        mrr=float(outcome.mean("mrr").mean()),
        coverage=float(np.mean([coverage(one, len(split.train.item_ids)) for one in lists])),
        diversity=float(np.mean(known)) if known else None,
        novelty=float(np.mean([novelty(one, split.train) for one in lists])),
        by_history={name: float(ndcg[chosen].mean()) for name, chosen in history_bands(split).items()},
        by_seed=[float(one.ndcg.mean()) for one in outcome.by_seed],
    )


def as_json(found: Figures, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The last line's figures; what the data and the machine were is added by the command."""
    rows = found.rows
    return {
        "ndcg10": {row.name: round(row.ndcg, 5) for row in rows},
        "hr10": {row.name: round(row.hr, 5) for row in rows},
        "ours": found.ours,
        "best_peer": found.best_peer,
        "gain": None if found.gain is None else round(found.gain.mean, 4),
        "gain_interval": _interval(found.gain),
        "served_gain": None if found.served_gain is None else round(found.served_gain.mean, 4),
        "served_gain_interval": _interval(found.served_gain),
        "by_history": {
            band: {
                "users": users,
                "ndcg10": {row.name: round(row.by_history[band], 5) for row in rows},
                "gain": None if (gain := found.gain_by_history.get(band)) is None else round(gain.mean, 4),
                "gain_interval": _interval(found.gain_by_history.get(band)),
            }
            for band, users in found.users_by_history.items()
        },
        "recall10": {row.name: round(row.recall, 5) for row in rows},
        "mrr": {row.name: round(row.mrr, 5) for row in rows},
        "coverage10": {row.name: round(row.coverage, 4) for row in rows},
        "diversity10": {row.name: None if row.diversity is None else round(row.diversity, 4) for row in rows},
        "novelty10": {row.name: round(row.novelty, 3) for row in rows},
        "diversity_dial": _dial_as_json(found),
        "ndcg10_by_seed": {row.name: [round(one, 5) for one in row.by_seed] for row in rows},
        "settings": {one.name: one.choice.params for one in outcomes if one.missing is None},
        "left_out": dict(found.missing),
        "seconds_by_model": {one.name: one.seconds for one in outcomes if one.missing is None},
        "remembered": [one.name for one in outcomes if one.remembered],
    }


def _interval(gain: Gain | None) -> list[float] | None:
    return None if gain is None else [round(gain.low, 4), round(gain.high, 4)]


def _dial_as_json(found: Figures) -> dict[str, Any] | None:
    if not found.dial:
        return None
    best = most_distance(found.dial, NDCG_TO_GIVE)
    gain = distance_gain(found.dial, best) if best is not None else None
    points = [(one.setting.method, one.setting.dial, round(one.ndcg, 5), round(one.distance, 4)) for one in found.dial]
    return {
        "model": found.dialled,
        "curve": [dict(zip(("method", "dial", "ndcg10", "distance"), point, strict=True)) for point in points],
        "ndcg_to_give": NDCG_TO_GIVE,
        "distance_gain": None if gain is None else round(gain, 4),
    }
