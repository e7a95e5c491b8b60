"""What the ranker learns from: candidates of the live path at an earlier moment, and which of them were taken next."""

from collections.abc import Iterator, Sequence

import numpy as np

from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.learned_ranker import Member, RankerFile, Scaling
from consumers.lists.ranking import FEATURES
from deploy.evaluation.models import UserEncoder
from deploy.recs.interactions import Floats, Ints
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.portrait import moment_of, stacked
from deploy.recs.ours.ranker import Lesson, Ranker, Scale, Weigher
from deploy.recs.split import Split
from deploy.training.replayed import Replayed

USERS_AT_ONCE = 128
TOP_PLACES = 50
LEAST_SPREAD, NO_SAY = 1e-5, 1e9


def lesson(window: Split, replayed: Replayed, encoder: UserEncoder, users: Ints) -> Lesson:
    """Of the window's users at these places; where repeats are asked for, what they took before is offered too."""
    replayed.maker.repeats = not window.remove_seen
    truth_rows = [replayed.rows[window.truths[place]] for place in users]
    offered = stacked(list(candidates(window.users[users], moment_of(window), replayed, encoder)))
    taken = [np.isin(own, truth) for own, truth in zip(offered.items, truth_rows, strict=True)]
    return Lesson(offered, (np.array(taken) & offered.there).astype(np.float32))


def candidates(users: Ints, now_ms: int, replayed: Replayed, encoder: UserEncoder) -> Iterator[Candidates]:
    """What the live path offers these users, with all that a ranker is told; `items` are the catalogue's rows."""
    size = min(USERS_AT_ONCE, replayed.maker.users_at_once)
    for start in range(0, len(users), size):
        offered = replayed.offered(users[start : start + size], encoder, now_ms)
        details, context = replayed.maker.details(offered)
        rows = offered.candidates.rows
        yield Candidates(rows, rows >= 0, np.concatenate([offered.features, details], axis=2), context)


def as_file(ranker: Ranker, lessons: Sequence[Lesson], repeats: bool = False) -> RankerFile:
    """The ranker as the profiler reads it; `spread` brings the distance from the best to the fiftieth candidate to one.

    `lessons` are of all that was offered, not of what was shown.
    """
    distances = np.concatenate([_distances(ranker.scores(one.candidates)) for one in lessons])
    distance = float(np.median(distances)) if len(distances) else 1.0
    return RankerFile(
        features=[*FEATURES, *DETAILS],
        context=list(CONTEXT),
        feature_scaling=_scaling(ranker.feature_scale),
        context_scaling=_scaling(ranker.context_scale),
        members=[_member(member) for member in ranker.members],
        unseen=[name for name, spread in zip(FEATURES, ranker.feature_scale.deviation, strict=False) if spread < LEAST_SPREAD],
        repeats=repeats,
        spread=1 / max(distance, 1e-3),
    )


def _distances(scores: Floats) -> Floats:
    """From the best to the fiftieth candidate, or the last where all have fewer; of the users who have so many."""
    best = np.sort(scores, axis=1)[:, ::-1][:, :TOP_PLACES]
    there = best[:, -1] > -1e8
    distances: Floats = best[there, 0] - best[there, -1]
    return distances


def _scaling(scale: Scale) -> Scaling:
    """What was the same in all lessons says nothing later either: the networks never learned what to make of it."""
    spread = np.where(scale.deviation < LEAST_SPREAD, NO_SAY, scale.deviation)
    return Scaling(mean=_numbers(scale.mean), deviation=_numbers(spread))


def _numbers(array: Floats) -> list[float]:
    return [float(f"{number:.7g}") for number in array.tolist()]


def _member(weigher: Weigher) -> Member:
    def rows(name: str) -> list[list[float]]:
        return [_numbers(row) for row in weigher.get_parameter(name).detach().numpy()]

    def row(name: str) -> list[float]:
        return _numbers(weigher.get_parameter(name).detach().numpy().ravel())

    return Member(
        linear=row("linear.weight"),
        first=rows("first.weight"),
        first_bias=row("first.bias"),
        second=rows("second.weight"),
        second_bias=row("second.bias"),
        last=row("last.weight"),
    )
