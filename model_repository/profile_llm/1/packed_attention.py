"""Attention on a CPU for rows at different places in their texts, computed in one pass and without padding.

A forward pass takes one sequence, [1, tokens]: the new tokens of every row, one row after the other. Keys and values of a
prompt's beginning are kept once and read once for all rows that share it; each row's own ones are in `KeyValues`. The two
parts of a softmax are joined by their log-sum-exp. A short beginning, which is cheaper to copy than to join at every token,
becomes a row's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import AttentionInterface

NAME = "packed"
OWN_PREFIX_TOKENS = 96  # a prefix up to this long is copied
SLOTS = 64  # capacity grows by so many
KEPT_SLOTS = 256  # and stays that large while no row is there: SmolLM2-135M at 32 rows: 190 MB


@dataclass(frozen=True, eq=False)
class Prefix:
    """The start of many prompts, with its keys and values: one (keys, values) a layer, each [heads, tokens, dim]."""

    tokens: tuple[int, ...] = ()
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()

    @property
    def own_tokens(self) -> int:
        """How many of its tokens become a row's own: all or none."""
        return len(self.tokens) if len(self.tokens) <= OWN_PREFIX_TOKENS else 0


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
    dtype: torch.dtype

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
    def tokens_after(self) -> dict[Prefix, list[int]]:
        """The tokens that follow each prefix."""
        found: dict[Prefix, list[int]] = {}
        for prefix, count, end in zip(self.prefixes, self.counts, self.ends, strict=True):
            if prefix.tokens:
                found.setdefault(prefix, []).extend(range(end - count, end))
        return found

    @cached_property
    def order(self) -> torch.Tensor | slice:
        """The tokens that follow a prefix, those of one prefix together."""
        order = [token for tokens in self.tokens_after.values() for token in tokens]
        return slice(None) if order == list(range(self.ends[-1])) else torch.tensor(order, device=self.device)

    @cached_property
    def hidden(self) -> torch.Tensor:
        """Added to the scores of rows that write on: [rows, 1, 1, slots], minus infinity beyond a row's own tokens."""
        beyond = torch.arange(self.longest, device=self.device) > self.slots[:, None]
        return torch.zeros(beyond.shape, device=self.device, dtype=self.dtype).masked_fill(beyond, float("-inf"))[
            :, None, None
        ]


def attend(query, key, value, scaling, bias=None, causal=False) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention, and the log-sum-exp of its scores in fp32: [batch, heads, queries, dim] and [batch, heads, queries]."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # what scaled_dot_product_attention calls
    return kernel(query, key, value, 0.0, causal, attn_mask=bias, scale=scaling)


def packed_attention(module, query, key, value, attention_mask, scaling=None, now: Pass | None = None, **options):
    """The attention function that transformers calls in each layer, [1, heads, tokens, dim]; it stores keys and values too."""
    refuse_unknown(options, now and max(now.positions) + 1)
    heads, tokens, dim = query.shape[1:]
    groups = key.shape[1]  # of query heads that share keys
    scaling = dim**-0.5 if scaling is None else scaling
    query = query.view(groups, heads // groups, tokens, dim).transpose(1, 2)  # [groups, tokens, heads of a group, dim]
    attended = query.new_empty(*query.shape[:3], value.shape[3])
    log_sum = query.new_empty(query.shape[:3], dtype=torch.float32)
    keys, values = now.store.of(module.layer_idx, key, value)
    if now.writing:
        attend_own(query, key, value, (keys, values), scaling, now, attended, log_sum)
    for row, start, end in now.beginnings:
        begin_own(row, now.prefixes[row], module.layer_idx, (keys, values), (key[0, :, start:end], value[0, :, start:end]))
        part = query[:, start:end].transpose(1, 2)  # [groups, heads of a group, tokens, dim]
        repeated = [states[0, :, None, start:end].expand(-1, heads // groups, -1, -1) for states in (key, value)]
        own, own_sum = attend(part, *repeated, scaling, causal=True)
        attended[:, start:end], log_sum[:, start:end] = own.transpose(1, 2), own_sum.transpose(1, 2)
    if now.tokens_after:
        add_prefixes(query, module.layer_idx, scaling, now, attended, log_sum)
    return attended.transpose(0, 1).reshape(1, tokens, heads, -1), None


def begin_own(row: int, prefix: Prefix, layer: int, buffers, states) -> None:
    """Store what a row begins with: a short prefix, then its own tokens."""
    copied = prefix.own_tokens
    for place, (buffer, state) in enumerate(zip(buffers, states, strict=True)):
        if copied:
            buffer[row, :, :copied] = prefix.layers[layer][place]
        buffer[row, :, copied : copied + state.shape[1]] = state


def attend_own(query, key, value, buffers, scaling, now: Pass, attended, log_sum) -> None:
    """Rows that write on, over their own tokens and this one."""
    rows = now.writing
    for buffer, states in zip(buffers, (key, value), strict=True):
        buffer[now.rows, :, now.slots] = states[0, :, :rows].transpose(0, 1)
    seen = [buffer[:rows, :, : now.longest] for buffer in buffers]
    own, own_sum = attend(query[:, :rows].transpose(0, 1), *seen, scaling, bias=now.hidden)
    attended[:, :rows], log_sum[:, :rows] = own.transpose(0, 1), own_sum.transpose(0, 1)


def add_prefixes(query, layer: int, scaling, now: Pass, attended, log_sum) -> None:
    """Join to what tokens saw of their own rows what they see of their prefixes, one product for all tokens of a prefix."""
    query = query[:, now.order]
    parts, start = [], 0
    for prefix, tokens in now.tokens_after.items():
        part = query[:, start : start + len(tokens)].reshape(1, query.shape[0], -1, query.shape[3])
        parts.append(attend(part, *(states.unsqueeze(0) for states in prefix.layers[layer]), scaling))
        start += len(tokens)
    shared, shared_sum = (torch.cat(states, dim=2) for states in zip(*parts, strict=True))
    share = torch.sigmoid(shared_sum.view(query.shape[:3]) - log_sum[:, now.order]).to(query.dtype).unsqueeze(-1)
    attended[:, now.order] = attended[:, now.order].lerp(shared.reshape(*query.shape[:3], -1), share)


def refuse_unknown(options: dict, longest: int | None) -> None:
    """NotImplementedError for models whose attention is more than a causal softmax over all of the text, `longest` tokens."""
    if longest is None:
        raise NotImplementedError("profile_llm: this kind of model does not hand its arguments on to attention")
    for name in ("softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise NotImplementedError(f"profile_llm: attention with {name} is not supported; name another model")
    window = options.get("sliding_window")
    if window is not None and longest > window:
        raise NotImplementedError(f"profile_llm: a text longer than the model's sliding window of {window} is not supported")


AttentionInterface.register(NAME, packed_attention)  # and no mask of that name: transformers then makes none
