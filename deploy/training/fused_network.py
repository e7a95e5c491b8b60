"""The network behind user_encoder: a history, and beside it what users declare of themselves, as one vector."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deploy.recs.interactions import Floats
from deploy.recs.ours.network import NetworkShape, SequenceNetwork
from deploy.training.neighbours import Neighbours
from deploy.training.served_tensors import gap_buckets, newest_last, value_buckets
from schemas.tensors import DEMOGRAPHICS_DIM

Numbers = npt.NDArray[np.int64]

DIRECTIONS = 64
"""Of the text encoder's space that are kept."""
FACTS_HIDDEN = 16
SHORT = (0, 5)
"""Histories of at most so many events have heads of their own."""
NEW_SHARE = 0.1
"""Of the items, drawn anew for each batch, are learned from as if they were new."""


@dataclass(frozen=True)
class Whitening:
    """Brings the text encoder's vectors to directions that all weigh alike: `(vectors - mean) @ directions`.

    Linear on purpose: a user's vector can be brought back into the text encoder's space, where all items are, new ones too.
    """

    mean: Floats
    directions: Floats

    @classmethod
    def of(cls, vectors: Floats) -> "Whitening":
        """Fitted to these vectors [n, d], those of length 0 left out."""
        known = vectors[vectors.any(axis=1)]
        mean = known.mean(axis=0)
        _, sizes, rows = np.linalg.svd(known - mean, full_matrices=False)
        kept = int((sizes[:DIRECTIONS] > 1e-4 * sizes[0]).sum())
        scale = np.sqrt(len(known)) / sizes[:kept]
        return cls(mean.astype(np.float32), np.ascontiguousarray(rows[:kept].T * scale, np.float32))

    def __call__(self, vectors: Floats) -> Floats:
        """Float32 [n, c]; zeros stay zeros."""
        white: Floats = ((vectors - self.mean) @ self.directions).astype(np.float32)
        white[~vectors.any(axis=1)] = 0
        return white


class FusedNetwork(SequenceNetwork):
    """Makes one vector of what the history says and what is declared. Tags and profile are whitened text vectors, like items.

    With `shape.fusion` "concat" they stand side by side before one linear layer; "gated" lets what is known decide how much
    each counts, and gives short histories heads of their own.
    """

    def __init__(self, items: int, shape: NetworkShape, content: Tensor | None) -> None:
        assert content is not None, "users are matched with what items say"
        super().__init__(items, shape, content)
        assert self.content_part is not None
        self.said_part = self.content_part
        self.newcomer = nn.Parameter(torch.zeros(shape.dim))
        self.tag_part = nn.Linear(content.shape[1], shape.dim, bias=False)
        self.profile_part = nn.Linear(content.shape[1], shape.dim, bias=False)
        last = nn.Linear(FACTS_HIDDEN, shape.dim, bias=False)
        self.facts_part = nn.Sequential(nn.Linear(DEMOGRAPHICS_DIM, FACTS_HIDDEN), nn.Tanh(), last)
        for part in (self.tag_part, self.profile_part, last):
            nn.init.normal_(part.weight, std=0.02 / part.in_features**0.5)
        gated = shape.fusion == "gated"
        self.gates = silent(4 * shape.dim, 3 * shape.dim) if gated else None
        self.short_heads = nn.ModuleList(silent(4 * shape.dim, shape.dim) for _ in SHORT) if gated else None

    def item_table(self) -> Tensor:
        """As of any network; while it learns, some items have no id part, so that it learns what to make of a new one.

        After DropoutNet (Volkovs et al. 2017).
        """
        ids: Tensor = self.ids.weight
        if self.training:
            ids = ids * (torch.rand(len(ids), 1, device=ids.device) >= NEW_SHARE)
        table: Tensor = ids + self.said_part(self.content)
        return table

    def fused(self, hidden: Tensor, events: Tensor, tag: Tensor, profile: Tensor, demographics: Tensor) -> Tensor:
        """[n, dim] of the last place of a history of so many `events` [n], with the rest [n, c], [n, c], [n, 4]: [n, dim]."""
        events = events.unsqueeze(-1)
        hidden = torch.where(events > 0, hidden, self.newcomer)
        facts = self.facts_part(demographics) * (demographics != 0).any(dim=1, keepdim=True)
        declared = torch.cat([self.tag_part(tag), self.profile_part(profile), facts], dim=-1)
        together = torch.cat([hidden, declared], dim=-1)
        if self.gates is not None:
            declared = declared * 2 * torch.sigmoid(self.gates(together))
        of_tags, of_profile, of_facts = declared.chunk(3, dim=-1)
        fused: Tensor = hidden + of_tags + of_profile + of_facts
        for most, head in zip(SHORT, self.short_heads or (), strict=bool(self.short_heads)):
            fused = fused + head(together) * (events <= most)
        return fused


def silent(inputs: int, outputs: int) -> nn.Linear:
    """A layer that says nothing before it has learned."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ServedEncoder(nn.Module):
    """The tensors of `schemas.tensors.USER_ENCODER` to its outputs: what is exported, with all that it needs inside."""

    numbers: Tensor
    sorted_numbers: Tensor
    places: Tensor
    mean: Tensor
    directions: Tensor
    table: Tensor

    def __init__(
        self, network: FusedNetwork, whitening: Whitening, neighbours: Neighbours, numbers: Numbers, length: int, kept: int
    ) -> None:
        """`numbers` [items] are the items' of the network's table.

        The network reads the newest `length` events, item models the newest `kept`: as many as states keep.
        """
        super().__init__()
        self.network, self.neighbours, self.length, self.kept = network, neighbours, length, max(length, kept)
        order = np.argsort(numbers)
        self.register_buffer("numbers", torch.from_numpy(numbers))
        self.register_buffer("sorted_numbers", torch.from_numpy(numbers[order]))
        self.register_buffer("places", torch.from_numpy(order + 1))
        self.register_buffer("mean", torch.from_numpy(whitening.mean))
        self.register_buffer("directions", torch.from_numpy(whitening.directions))
        with torch.no_grad():  # once for all calls: of many items it costs more than a user's history
            self.register_buffer("table", network.eval().item_table()[1:].T.contiguous())

    def forward(
        self, vectors: Tensor, places: Tensor, items: Tensor, types: Tensor, ages: Tensor, values: Tensor, tag: Tensor,
        profile: Tensor, demographics: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Vectors float32 [n, d] of unit length, zeros where nothing is known; the items expected next, and their shares."""
        places, items, types, ages, values = newest_last(self.kept, places, items, types, ages, values)
        at = torch.searchsorted(self.sorted_numbers, items).clamp(max=len(self.sorted_numbers) - 1)
        known = (self.sorted_numbers[at] == items) & (types != 0)
        all_items, all_types, all_ages = torch.where(known, self.places[at], 0), types, ages
        places, own_items, types, ages, values = (
            column[:, -self.length :] for column in (places, all_items, types, ages, values)
        )
        there, known = types != 0, known[:, -self.length :]
        network, events = self.network, there.sum(dim=1)
        own = network.ids(own_items) * known.unsqueeze(-1)
        said_by = network.said_part(self.white(vectors.flatten(0, 1).float()))
        said = nn.functional.embedding(places, nn.functional.pad(said_by, (0, 0, 1, 0))) * there.unsqueeze(-1)
        gaps, rated = gap_buckets(ages, there), value_buckets(values, there)
        fused = network.fused(
            network.read(own + said, there, gaps, rated, types.long(), last=True)[:, -1],
            events,
            self.white(tag),
            self.white(profile),
            demographics,
        )
        shares = torch.log_softmax(fused @ self.table + network.item_bias[1:], dim=-1)
        numbers, scores = self.neighbours.expected(shares, all_items, all_types, all_ages, self.numbers)
        user = nn.functional.normalize(fused @ network.said_part.weight @ self.directions.T, dim=1)
        anything = (events > 0) | (tag != 0).any(dim=1) | (profile != 0).any(dim=1)
        return user * anything.unsqueeze(-1), numbers, scores

    def white(self, vectors: Tensor) -> Tensor:
        """As `Whitening`: zeros stay zeros."""
        white: Tensor = ((vectors - self.mean) @ self.directions) * (vectors != 0).any(dim=-1, keepdim=True)
        return white
