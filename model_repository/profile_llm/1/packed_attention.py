"""Attention for rows at different places in their texts, computed in one pass and without padding.

A forward pass takes one sequence, [1, tokens]: the new tokens of every row, one row after the other. Keys and values of a
prompt's beginning are kept once and read once for all rows that share it; each row's own ones are in `KeyValues`. The two
parts of a softmax are joined by their log-sum-exp.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import AttentionInterface

NAME = "packed"
SLOTS = 64  # capacity grows by so many
KEPT_SLOTS = 256  # and stays that large while no row is there: SmolLM2-135M at 32 rows: 190 MB


@dataclass(frozen=True, eq=False)
class Prefix:
    """The start of many prompts, with its keys and values: one (keys, values) a layer, each [heads, tokens, dim]."""

    tokens: tuple[int, ...] = ()
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()


class KeyValues:
    """What the rows have seen beyond their prefix: keys and values a layer, each [rows, heads, capacity, dim]."""

    def __init__(self, rows: int) -> None:
        self.rows, self.capacity = rows, SLOTS
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def reserve(self, capacity: int) -> None:
        """Make room for so many tokens a row."""
        if capacity > self.capacity:
            old, self.capacity = self.capacity, -(-capacity // SLOTS) * SLOTS
            for number, buffers in self.layers.items():
                grown = tuple(self._room(buffer) for buffer in buffers)
                for new, buffer in zip(grown, buffers, strict=True):
                    new[:, :, :old] = buffer
                self.layers[number] = grown

    def of(self, number: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The buffers of a layer; made at its first use, shaped like its keys and values [1, heads, tokens, dim]."""
        if number not in self.layers:
            self.layers[number] = self._room(key), self._room(value)
        return self.layers[number]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's tokens over another's."""
        for buffers in self.layers.values():
            for buffer in buffers:
                buffer[target, :, :length] = buffer[source, :, :length]

    def shrink(self) -> None:
        """Give back what a long text needed. No row may be there."""
        if self.capacity > KEPT_SLOTS:
            self.capacity, self.layers = SLOTS, {}

    def _room(self, like: torch.Tensor) -> torch.Tensor:
        return like.new_zeros(self.rows, like.shape[1], self.capacity, like.shape[3])


@dataclass(eq=False)
class Pass:
    """The rows of one forward pass, row r in slot r of `store`.

    `lengths` counts what a row has in the store, `counts` its new tokens. Rows that write on have one new token and come
    first; rows that begin have all of their prompt's rest.
    """

    store: KeyValues
    prefixes: Sequence[Prefix]
    lengths: Sequence[int]
    counts: Sequence[int]
    device: torch.device

    @cached_property
    def positions(self) -> list[int]:
        """The place of each token in its own text."""
        return [
            len(prefix.tokens) + length + index
            for prefix, length, count in zip(self.prefixes, self.lengths, self.counts, strict=True)
            for index in range(count)
        ]

    @cached_property
    def ends(self) -> list[int]:
        """One past each row's last token."""
        total = 0
        return [total := total + count for count in self.counts]

    @cached_property
    def writing(self) -> int:
        """How many rows write on."""
        return next((row for row, length in enumerate(self.lengths) if length == 0), len(self.lengths))

    @cached_property
    def beginnings(self) -> list[tuple[int, int, int]]:
        """Row, first token and end of every row that begins."""
        return [(row, self.ends[row] - self.counts[row], self.ends[row]) for row in range(self.writing, len(self.counts))]

    @cached_property
    def slots(self) -> torch.Tensor:
        """Where the rows that write on put their token."""
        return torch.tensor(self.lengths[: self.writing], device=self.device)

    @cached_property
    def rows(self) -> torch.Tensor:
        return torch.arange(self.writing, device=self.device)

    @cached_property
    def longest(self) -> int:
        """The slots that rows which write on have to look at."""
        return max(self.lengths[: self.writing], default=0) + 1

    @cached_property
    def sharing(self) -> list[tuple[Prefix, torch.Tensor | slice]]:
        """Every prefix with the tokens that follow it."""
        tokens: dict[Prefix, list[int]] = {}
        for prefix, count, end in zip(self.prefixes, self.counts, self.ends, strict=True):
            if prefix.tokens:
                tokens.setdefault(prefix, []).extend(range(end - count, end))
        whole = slice(0, self.ends[-1])
        return [
            (prefix, whole if len(found) == self.ends[-1] else torch.tensor(found, device=self.device))
            for prefix, found in tokens.items()
        ]

    @cached_property
    def hidden(self) -> torch.Tensor:
        """Added to the scores of rows that write on: [rows, 1, 1, slots], minus infinity beyond a row's own tokens."""
        beyond = torch.arange(self.longest, device=self.device) > self.slots[:, None]
        return torch.zeros(beyond.shape, device=self.device).masked_fill(beyond, float("-inf"))[:, None, None]


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    bias: torch.Tensor | None = None,
    causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and the log-sum-exp of its scores: [batch, heads, queries, dim] and [batch, heads, queries, 1] in fp32."""
    if query.device.type == "cpu":  # what scaled_dot_product_attention calls; a quarter of the time of the plain form
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        bias = None if bias is None else bias.to(query.dtype)
        attended, log_sum = kernel(query, key, value, 0.0, causal, attn_mask=bias, scale=scaling)
        return attended.float(), log_sum.float().unsqueeze(-1)
    scores = (query @ key.mT).float() * scaling
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], device=scores.device).triu(1).bool(), float("-inf"))
    log_sum = scores.logsumexp(-1, keepdim=True)
    return ((scores - log_sum).exp().to(value.dtype) @ value).float(), log_sum


def packed_attention(module, query, key, value, attention_mask, scaling=None, now: Pass | None = None, **options):
    """The attention function that transformers calls in each layer, [1, heads, tokens, dim]; it stores keys and values too."""
    refuse_unknown(options, now)
    heads, tokens, dim = query.shape[1:]
    groups = key.shape[1]  # of query heads that share keys
    scaling = dim**-0.5 if scaling is None else scaling
    query = query.view(groups, heads // groups, tokens, dim).transpose(1, 2)  # [groups, tokens, heads of a group, dim]
    attended = query.new_empty(groups, tokens, heads // groups, value.shape[3], dtype=torch.float32)
    log_sum = query.new_empty(groups, tokens, heads // groups, 1, dtype=torch.float32)
    keys, values = now.store.of(module.layer_idx, key, value)
    if rows := now.writing:
        keys[now.rows, :, now.slots] = key[0, :, :rows].transpose(0, 1)
        values[now.rows, :, now.slots] = value[0, :, :rows].transpose(0, 1)
        seen = keys[:rows, :, : now.longest], values[:rows, :, : now.longest]
        own, own_sum = attend(query[:, :rows].transpose(0, 1), *seen, scaling, bias=now.hidden)
        attended[:, :rows], log_sum[:, :rows] = own.transpose(0, 1), own_sum.transpose(0, 1)
    for row, start, end in now.beginnings:
        keys[row, :, : end - start], values[row, :, : end - start] = key[0, :, start:end], value[0, :, start:end]
        part = query[:, start:end].transpose(1, 2)  # [groups, heads of a group, tokens, dim]
        repeated = [states[0, :, None, start:end].expand(*part.shape[:2], -1, -1) for states in (key, value)]
        own, own_sum = attend(part, *repeated, scaling, causal=True)
        attended[:, start:end], log_sum[:, start:end] = own.transpose(1, 2), own_sum.transpose(1, 2)
    for prefix, chosen in now.sharing:
        part = query[:, chosen]
        shared, shared_sum = attend(part.reshape(1, groups, -1, dim), *with_batch(prefix.layers[module.layer_idx]), scaling)
        share = torch.sigmoid(shared_sum.view(*part.shape[:3], 1) - log_sum[:, chosen])
        attended[:, chosen] = attended[:, chosen].lerp(shared.reshape(*part.shape[:3], -1), share)
    return attended.transpose(0, 1).reshape(1, tokens, heads, -1).to(query.dtype), None


def with_batch(states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [one.unsqueeze(0) for one in states]


def refuse_unknown(options: dict, now: Pass | None) -> None:
    """NotImplementedError for models whose attention is more than a causal softmax over all of the text."""
    if now is None:
        raise NotImplementedError("profile_llm: this kind of model does not hand its arguments on to attention")
    for name in ("softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise NotImplementedError(f"profile_llm: attention with {name} is not supported; name another model")
    window = options.get("sliding_window")
    if window is not None and max(now.positions) >= window:
        raise NotImplementedError(f"profile_llm: a text longer than the model's sliding window of {window} is not supported")


AttentionInterface.register(NAME, packed_attention)  # and no mask of that name: transformers then makes none
