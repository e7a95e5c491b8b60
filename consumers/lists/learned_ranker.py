"""The learned ranker: a small network over all that is known of a candidate and its user, read from JSON and run by numpy.

It comes with the user_encoder that it was trained with, and goes with it.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.catalogue import Floats
from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.ranking import FEATURES, PlainRanker, Ranker, RankWeights
from schemas.errors import ConfigError
from schemas.tensors import NEXT_SCORES

TOLD = (*FEATURES, *DETAILS)
TELLING = {
    "similarity": ("similarity", "from_vector"),
    "interest": ("interest", "from_interest"),
    "profile": ("profile",),
    "popularity": ("popularity", "from_popular", "log_popularity"),
    "freshness": ("freshness", "from_fresh", "log_age_days"),
    "neighbour": ("neighbour", "from_neighbour"),
    "concept": ("concept", "from_concept"),
    "boost": ("boost",),
    "sequence": ("sequence", "from_sequence", *NEXT_SCORES[1:]),
}
"""What it is told that says the same as each of FEATURES."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = list[Finite]


class Scaling(BaseModel):
    """Brings numbers of any size to about one: less `mean`, over `deviation`, then sign * log1p."""

    model_config = ConfigDict(extra="forbid")
    mean: Row
    deviation: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]]


class Member(BaseModel):
    """One network: a linear score of the features, and two hidden layers over features and context."""

    model_config = ConfigDict(extra="forbid")
    linear: Row
    first: list[Row]
    first_bias: Row
    second: list[Row]
    second_bias: Row
    last: Row


class RankerFile(BaseModel):
    """A ranker as it is written. A score is multiplied by `spread`, so that a list's scores are about one apart.

    `unseen` features said nothing where it was trained (rules, mostly, and profiles): they count as in the plain ranker. With
    `repeats` it was trained where people take things again.
    """

    model_config = ConfigDict(extra="forbid")
    format: Literal[1] = 1
    features: list[str]
    context: list[str]
    feature_scaling: Scaling
    context_scaling: Scaling
    members: Annotated[list[Member], Field(min_length=1)]
    unseen: list[str]
    repeats: bool = False
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Scale:
    def __init__(self, scaling: Scaling) -> None:
        self.mean = np.array(scaling.mean, np.float32)
        self.per_deviation = 1 / np.array(scaling.deviation, np.float32)

    def __call__(self, numbers: Floats) -> Floats:
        scaled = (numbers - self.mean) * self.per_deviation
        bent: Floats = np.copysign(np.log1p(np.abs(scaled)), scaled)
        return bent


class _Network:
    """A member's arrays; the first layer is split, so that what all candidates of a user share is worked out once."""

    def __init__(self, member: Member, features: int) -> None:
        self.linear, self.last = np.array(member.linear, np.float32), np.array(member.last, np.float32)
        first = np.array(member.first, np.float32)
        self.of_features = np.ascontiguousarray(first[:, :features].T)
        self.of_context = np.ascontiguousarray(first[:, features:].T)
        self.first_bias = np.array(member.first_bias, np.float32)
        self.second = np.ascontiguousarray(np.array(member.second, np.float32).T)
        self.second_bias = np.array(member.second_bias, np.float32)

    def scores(self, features: Floats, context: Floats) -> Floats:
        """[n, k, f] and [n, c] to [n, k]."""
        hidden = features @ self.of_features
        hidden += (context @ self.of_context + self.first_bias)[:, None]
        np.maximum(hidden, 0, out=hidden)
        bent = hidden @ self.second
        bent += self.second_bias
        np.tanh(bent, out=bent)
        scores: Floats = features @ self.linear + bent @ self.last
        return scores


class LearnedRanker:
    """The mean of its members' scores, and what the plain ranker says of features that it never saw."""

    wants_details = True

    def __init__(self, file: RankerFile, weights: RankWeights) -> None:
        self._feature_scale, self._context_scale = _Scale(file.feature_scaling), _Scale(file.context_scaling)
        self._members = [_Network(member, len(file.features)) for member in file.members]
        unseen = np.array([name in (*file.unseen, "boost") for name in FEATURES])  # rules are obeyed, whatever was learned
        self._weights = weights.vector()
        self._plain = np.where(unseen, self._weights, 0).astype(np.float32)
        self._others = np.array([[name not in TELLING[feature] for name in TOLD] for feature in FEATURES], np.float32)
        self.repeats = file.repeats
        self._share = np.float32(file.spread / len(self._members))

    def scores(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """Scores [users, n] of candidates with these features and details."""
        total = self._learned(*self._scaled(features, details))
        total += features @ self._plain
        return total

    def parts(self, features: Floats, details: tuple[Floats, Floats] | None) -> Floats:
        """By how much each score falls when what says the same as a feature is as it is for a middling candidate.

        Of features above 0, as others are never told of. The plain ranker's terms where none of them speaks for a candidate.
        """
        of_candidates, of_users = self._scaled(features, details)
        users, places, which = np.nonzero(features > 0)
        without = of_candidates[users, places] * self._others[which]
        found = features * self._plain
        whole = self._learned(of_candidates, of_users)[users, places]
        found[users, places, which] += whole - self._learned(without[:, None], of_users[users])[:, 0]
        speaks = (found > 0).any(axis=2, keepdims=True)
        terms: Floats = np.where(speaks, found, features * self._weights)
        return terms

    def _scaled(self, features: Floats, details: tuple[Floats, Floats] | None) -> tuple[Floats, Floats]:
        assert details is not None, "a learned ranker reads details"
        return self._feature_scale(np.concatenate([features, details[0]], axis=2)), self._context_scale(details[1])

    def _learned(self, of_candidates: Floats, of_users: Floats) -> Floats:
        total = self._members[0].scores(of_candidates, of_users)
        for member in self._members[1:]:
            total += member.scores(of_candidates, of_users)
        total *= self._share
        return total


def read_ranker(text: str, weights: RankWeights) -> Ranker:
    """The ranker that JSON describes, or the plain one for an empty text.

    Raises:
        ConfigError: it is no such JSON, or reads other features than this version of Portrait tells.
    """
    if not text:
        return PlainRanker(weights)
    try:
        file = RankerFile.model_validate_json(text)
        _require_shapes(file)
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"the ranker of user_encoder cannot be read ({error}); train again with `portrait train`") from None
    _require_same("features", file.features, TOLD)
    _require_same("context", file.context, CONTEXT)
    return LearnedRanker(file, weights)


def _require_same(what: str, found: Sequence[str], told: Sequence[str]) -> None:
    if list(found) != list(told):
        raise ConfigError(
            f"the ranker of user_encoder was trained with other {what} ({', '.join(found)}) than this version of Portrait "
            f"tells ({', '.join(told)}): train again with `portrait train`, or go back with `portrait models activate`"
        )


def _require_shapes(file: RankerFile) -> None:
    features, context = len(file.features), len(file.context)
    for scaling, size in ((file.feature_scaling, features), (file.context_scaling, context)):
        if not len(scaling.mean) == len(scaling.deviation) == size:
            raise ValueError("a scaling has another size than what it scales")
    for member in file.members:
        hidden, bent = len(member.first), len(member.second)
        shapes = (
            len(member.linear) == features
            and all(len(row) == features + context for row in member.first)
            and len(member.first_bias) == hidden
            and all(len(row) == hidden for row in member.second)
            and len(member.second_bias) == len(member.last) == bent
        )
        if not shapes:
            raise ValueError("the layers of a member do not fit together")
