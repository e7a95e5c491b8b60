"""The ranker: a small network that weighs the features of candidates, trained on what users took next."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deploy.recs.interactions import Floats
from deploy.recs.ours.evidence import Candidates

HIDDEN = 32
EPOCHS = 10
BATCH_SIZE = 32
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 0.1
MEMBERS = 3
"""Networks whose scores are added: each starts elsewhere, and their errors cancel out."""
OUT = -1e9


@dataclass(frozen=True)
class Lesson:
    """Candidates, and which of them the users took: `taken` float32 [n, k]."""

    candidates: Candidates
    taken: Floats


@dataclass(frozen=True)
class Scale:
    """Brings numbers of any size to about one; what is far out is drawn in, in proportion to its logarithm."""

    mean: Floats
    deviation: Floats

    def __call__(self, numbers: Floats) -> Tensor:
        """Scaled, as a tensor."""
        scaled = (numbers - self.mean) / self.deviation
        return torch.from_numpy(np.sign(scaled) * np.log1p(np.abs(scaled)))


class Weigher(nn.Module):
    """A linear score plus a small network's, of features and context."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1, bias=False)
        self.first, self.second = nn.Linear(features + context, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, features: Tensor, context: Tensor) -> Tensor:
        """[n, k, f] and [n, c] to scores [n, k]."""
        both = torch.cat([features, context[:, None].expand(-1, features.shape[1], -1)], dim=-1)
        bent = self.last(torch.tanh(self.second(torch.relu(self.first(both)))))
        scores: Tensor = (self.linear(features) + bent).squeeze(-1)
        return scores


@dataclass(frozen=True)
class Ranker:
    """Scores of candidates, by members that were trained apart."""

    members: Sequence[Weigher]
    feature_scale: Scale
    context_scale: Scale

    @torch.inference_mode()
    def scores(self, candidates: Candidates) -> Floats:
        """Float32 [n, k], OUT at padding."""
        features, context = self.feature_scale(candidates.features), self.context_scale(candidates.context)
        total = torch.stack([member(features, context) for member in self.members]).mean(dim=0)
        return np.where(candidates.there, total.numpy(), OUT).astype(np.float32)


def train_ranker(lessons: Sequence[Lesson], seed: int) -> Ranker:
    """A ranker that puts what users took before what they were also offered: softmax over each user's candidates."""
    offered = np.concatenate([lesson.candidates.features[lesson.candidates.there] for lesson in lessons])
    contexts = np.concatenate([lesson.candidates.context for lesson in lessons])
    feature_scale, context_scale = scale_of(offered), scale_of(contexts)
    members = [train_member(lessons, feature_scale, context_scale, seed * MEMBERS + member) for member in range(MEMBERS)]
    return Ranker(members, feature_scale, context_scale)


def scale_of(numbers: Floats) -> Scale:
    """The scale of columns of numbers [n, f]."""
    return Scale(numbers.mean(axis=0), numbers.std(axis=0) + 1e-6)


def train_member(lessons: Sequence[Lesson], feature_scale: Scale, context_scale: Scale, seed: int) -> Weigher:
    """One network, trained alone."""
    torch.manual_seed(seed)
    shuffle = np.random.default_rng(seed)
    first = lessons[0].candidates
    weigher = Weigher(first.features.shape[-1], first.context.shape[-1])
    optimizer = torch.optim.AdamW(weigher.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    taught = [np.flatnonzero(lesson.taken.any(axis=1)) for lesson in lessons]
    steps = EPOCHS * sum(-(-len(rows) // BATCH_SIZE) for rows in taught)
    cooling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=max(steps, 1))
    for _ in range(EPOCHS):
        batches = [
            (lesson, rows)
            for lesson, all_rows in zip(lessons, taught, strict=True)
            for rows in np.split(shuffle.permutation(all_rows), range(BATCH_SIZE, len(all_rows), BATCH_SIZE))
        ]
        for place in shuffle.permutation(len(batches)):
            lesson, rows = batches[place]
            if len(rows):
                scores = weigher(
                    feature_scale(lesson.candidates.features[rows]), context_scale(lesson.candidates.context[rows])
                )
                loss = listwise_loss(scores, lesson, rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                cooling.step()
    return weigher


def listwise_loss(scores: Tensor, lesson: Lesson, rows: npt.NDArray[np.int64]) -> Tensor:
    """Minus the mean logarithm of the share that what was taken has of each user's candidates."""
    there, taken = torch.from_numpy(lesson.candidates.there[rows]), torch.from_numpy(lesson.taken[rows])
    shares = torch.log_softmax(scores.masked_fill(~there, OUT), dim=-1)
    return -((shares * taken).sum(dim=1) / taken.sum(dim=1)).mean()
