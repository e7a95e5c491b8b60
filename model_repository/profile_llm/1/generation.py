"""Generates a batch of texts together, computing what their prompts share only once."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

CHECK_CANCELLED_EVERY = 8  # tokens


@dataclass(eq=False)
class Row:
    """One text to write: the prompt's tokens, how to sample, and what has been written so far."""

    prompt: list[int]
    max_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    is_cancelled: Callable[[], bool] = lambda: False
    on_finished: Callable[["Row"], None] = lambda row: None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: str = ""
    random: torch.Generator | None = None


@dataclass(frozen=True, eq=False)
class Prefix:
    """The start of many prompts, with its keys and values: one (keys, values) a layer, each [1, heads, tokens, dim]."""

    tokens: tuple[int, ...] = ()
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...] = ()


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, in a buffer large enough from the start: nothing is copied as it grows.

    Row r begins with its own prefix in slots 0..len(prefix); slots up to the longest prefix stay empty and masked.
    """

    def __init__(self, capacity: int, width: int, prefixes: Sequence[tuple[torch.Tensor, torch.Tensor] | None]) -> None:
        super().__init__()
        self.capacity, self.length, self.prefixes = capacity, width, prefixes

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.key_buffer = room_for(key_states, self.capacity)
        self.value_buffer = room_for(value_states, self.capacity)
        for row, prefix in enumerate(self.prefixes):
            if prefix is not None:
                self.key_buffer[row, :, : prefix[0].shape[2]] = prefix[0][0]
                self.value_buffer[row, :, : prefix[1].shape[2]] = prefix[1][0]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        self.key_buffer[:, :, start : self.length] = key_states
        self.value_buffer[:, :, start : self.length] = value_states
        return self.key_buffer[:, :, : self.length], self.value_buffer[:, :, : self.length]

    def get_seq_length(self) -> int:
        return self.length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.key_buffer, self.value_buffer = self.key_buffer[indices], self.value_buffer[indices]


def room_for(states: torch.Tensor, capacity: int) -> torch.Tensor:
    rows, heads, _, dim = states.shape
    return states.new_zeros(rows, heads, capacity, dim)


def grouped_attention(module, query, key, value, attention_mask, scaling=None, **kwargs):
    """Attention of one new token a row without repeating the keys for each group of query heads: half the time at batch 32."""
    rows, heads, new_tokens, dim = query.shape
    if new_tokens > 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    groups = key.shape[1]
    folded = query.reshape(rows, groups, heads // groups, dim)
    attended = torch.nn.functional.scaled_dot_product_attention(folded, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(rows, 1, heads, dim), None


AttentionInterface.register("grouped", grouped_attention)
AttentionMaskInterface.register("grouped", sdpa_mask)


class PrefixCache:
    """Keeps how prompts begin, up to their last question: instructions and examples, which many prompts share.

    In chat templates the last question begins at the third special token from the end: start of turn, end of turn, start of
    the answer. A cut elsewhere would be just as right, only of less use.
    """

    SLOTS = 64  # SmolLM2-135M: 7 MB each for 300 tokens
    LAST_QUESTION = 3

    def __init__(self, compute: Callable[[Sequence[int]], Prefix], special_tokens: Sequence[int]) -> None:
        self._compute = compute
        self._special_tokens = frozenset(special_tokens)
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()

    def match(self, prompts: Sequence[list[int]]) -> list[Prefix]:
        """The beginning of each prompt; computed now where it is new. At least one token is left over."""
        return [self._beginning(prompt) for prompt in prompts]

    def _beginning(self, prompt: list[int]) -> Prefix:
        marks = [position for position, token in enumerate(prompt) if token in self._special_tokens]
        if len(marks) < self.LAST_QUESTION or marks[-self.LAST_QUESTION] == 0:
            return Prefix()
        tokens = tuple(prompt[: marks[-self.LAST_QUESTION]])
        if tokens not in self._prefixes:
            self._prefixes[tokens] = self._compute(tokens)
            if len(self._prefixes) > self.SLOTS:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(tokens)
        return self._prefixes[tokens]


class TextGenerator:
    """A chat model and its tokenizer. Not thread-safe: one thread generates."""

    def __init__(self, folder: str, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="grouped").to(device).eval()
        end = self.model.generation_config.eos_token_id
        self.end_tokens = set(end if isinstance(end, list) else [end]) - {None}
        self.prefixes = PrefixCache(self.compute_prefix, self.tokenizer.all_special_ids)

    @property
    def context_length(self) -> int:
        return int(self.model.config.max_position_embeddings)

    def tokenize(self, prompt: str) -> list[int]:
        """The prompt's tokens; it is the full prompt, so no special tokens are added."""
        return self.tokenizer(prompt, add_special_tokens=False)["input_ids"]

    @torch.inference_mode()
    def compute_prefix(self, tokens: Sequence[int]) -> Prefix:
        cache = self.new_cache([Prefix()], width=0, capacity=len(tokens))
        self.model.model(torch.tensor([tokens], device=self.device), past_key_values=cache, use_cache=True)
        return Prefix(tuple(tokens), tuple((layer.key_buffer, layer.value_buffer) for layer in cache.layers))

    def new_cache(self, prefixes: list[Prefix], width: int, capacity: int) -> Cache:
        layers = range(self.model.config.num_hidden_layers)
        return Cache([RoomyLayer(capacity, width, [p.layers[n] if p.layers else None for p in prefixes]) for n in layers])

    @torch.inference_mode()
    def generate(self, rows: list[Row], should_stop: Callable[[], bool] = lambda: False) -> None:
        """Write every row; `on_finished` is called for each as soon as it is done, cancelled ones included."""
        prefixes = self.prefixes.match([row.prompt for row in rows])
        width = max(len(prefix.tokens) for prefix in prefixes)
        rests = [row.prompt[len(prefix.tokens) :] for row, prefix in zip(rows, prefixes, strict=True)]
        longest = max(map(len, rests))
        capacity = width + longest + max(row.max_tokens for row in rows)
        cache = self.new_cache(prefixes, width, capacity)
        tokens, mask, positions = self.lay_out(prefixes, rests, width, capacity)
        for row in rows:
            row.random = torch.Generator().manual_seed(row.seed) if row.seed is not None else None
        end = width + longest
        while not should_stop() and not all(row.finish_reason for row in rows):
            logits = self.model(
                tokens,
                attention_mask=mask[:, :end],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,  # the logits of a long prompt would cost as much as its layers
            ).logits[:, -1]
            chosen = self.choose(logits, rows)
            for row, token in zip(rows, chosen, strict=True):
                if not row.finish_reason:
                    self.extend(row, token)
            tokens, positions, end = torch.tensor(chosen, device=self.device).unsqueeze(1), positions[:, -1:] + 1, end + 1
            active = [index for index, row in enumerate(rows) if not row.finish_reason]
            if 0 < len(active) <= len(rows) // 2:  # go on with those that are not done
                rows, kept = [rows[index] for index in active], torch.tensor(active, device=self.device)
                tokens, positions, mask = tokens[kept], positions[kept], mask[kept]
                cache.batch_select_indices(kept)

    def lay_out(self, prefixes, rests, width, capacity) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens and positions of what is left of each prompt, padded on the left; the mask of all slots, the future's too."""
        longest = max(map(len, rests))
        tokens = torch.zeros(len(rests), longest, dtype=torch.long)
        positions = torch.zeros(len(rests), longest, dtype=torch.long)
        mask = torch.ones(len(rests), capacity, dtype=torch.long)
        for row, (prefix, rest) in enumerate(zip(prefixes, rests, strict=True)):
            known, start = len(prefix.tokens), longest - len(rest)
            tokens[row, start:] = torch.tensor(rest)
            positions[row, start:] = torch.arange(known, known + len(rest))
            mask[row, known : width + start] = 0
        return tokens.to(self.device), mask.to(self.device), positions.to(self.device)

    def choose(self, logits: torch.Tensor, rows: list[Row]) -> list[int]:
        """The next token of every row: the likeliest, or one drawn where the row has a temperature."""
        chosen = logits.argmax(dim=-1).tolist()
        for index, row in enumerate(rows):
            if row.temperature > 0 and not row.finish_reason:
                chosen[index] = draw(logits[index].float().cpu(), row)
        return chosen

    def extend(self, row: Row, token: int) -> None:
        """Add a token to a row and see whether that ends it; the end token and the stop text are not part of the text."""
        if token in self.end_tokens:
            return self.finish(row, "stop")
        row.tokens.append(token)
        if row.stop:
            text = self.decode(row)
            found = [text.index(stop) for stop in row.stop if stop in text]
            if found:
                return self.finish(row, "stop", text[: min(found)])
        if len(row.tokens) >= row.max_tokens:
            return self.finish(row, "length")
        if len(row.tokens) % CHECK_CANCELLED_EVERY == 0 and row.is_cancelled():
            self.finish(row, "abort")
        return None

    def finish(self, row: Row, reason: str, text: str | None = None) -> None:
        row.finish_reason, row.text = reason, self.decode(row) if text is None else text
        row.on_finished(row)

    def decode(self, row: Row) -> str:
        return self.tokenizer.decode(row.tokens, skip_special_tokens=True)


def draw(logits: torch.Tensor, row: Row) -> int:
    """A token drawn from the smallest set of likeliest tokens that hold `top_p` of the probability."""
    probabilities, order = torch.softmax(logits / row.temperature, dim=-1).sort(descending=True)
    probabilities[probabilities.cumsum(0) - probabilities > row.top_p] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=row.random)])
