"""Forward passes of a few fixed shapes for a GPU, each recorded once as a CUDA graph and launched whole from then on.

A pass of a small model is a thousand kernels of a few microseconds each, which a CPU cannot launch as fast as a GPU is done
with them. A graph is bound to shapes and addresses: so rows, tokens and the slots looked at are rounded up to powers of two,
and keys and values of all layers stay in one buffer. Its last row is nobody's: rows that only fill up a shape write there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from packed_attention import Prefix, refuse_unknown
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

NAME = "fixed"
FIRST_CAPACITY = 512  # slots a row, doubled when a text needs more; SmolLM2-135M at 32 rows: 390 MB
LEAST_SPAN = 128  # slots looked at
LEAST_WIDTH = 32  # tokens of a row that begins
PADDED_TOKENS = 2048  # rows that begin share a pass up to this many tokens, padding counted


@dataclass(frozen=True, eq=False)
class CopiedPrefix(Prefix):
    """The start of many prompts, with its keys and values in one tensor: [layers, 2, heads, tokens, dim]."""

    states: torch.Tensor | None = None

    @property
    def own_tokens(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Given:
    """What a pass is told of a row: its slot, how many tokens it has seen, and the new ones."""

    slot: int
    seen: int
    tokens: Sequence[int]


class FixedPass:
    """The pass of one shape: so many rows, of so many tokens each, that look at so many slots."""

    def __init__(self, model: Callable, config, states: torch.Tensor, shape: tuple[int, int, int], pool) -> None:
        self.model, self.states = model, states
        self.rows, self.width, self.span = shape
        self.groups_of = config.num_attention_heads // config.num_key_value_heads  # query heads that share keys
        self.filling = [0] * self.width + [states.shape[2] - 1, 0, 1]
        self.inputs = torch.tensor([self.filling] * self.rows, device=states.device)  # tokens, slot, seen, count
        self.graph = None
        if states.is_cuda:
            self.record(pool)

    def record(self, pool) -> None:
        """Run once, so that libraries are loaded and kernels chosen, then once more for the graph."""
        self.run()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
            self.logits = self.run()

    def __call__(self, rows: Sequence[Given]) -> torch.Tensor:
        """The logits of each row's next token, [rows, vocabulary]."""
        given = [[*row.tokens, *[0] * (self.width - len(row.tokens)), row.slot, row.seen, len(row.tokens)] for row in rows]
        self.inputs.copy_(torch.tensor(given + [self.filling] * (self.rows - len(rows))))
        if self.graph is None:
            return self.run()[: len(rows)]
        self.graph.replay()
        # The graphs share their memory: the next one to run may write over what this one returns.
        return self.logits[: len(rows)].clone()

    def run(self) -> torch.Tensor:
        device, dtype = self.states.device, self.states.dtype
        self.slots, seen, counts = self.inputs[:, self.width :].unbind(1)
        places = seen[:, None] + torch.arange(self.width, device=device)
        # Padding may reach past the end. A slot it wrote to is written again before its row looks at it.
        self.places = places.clamp(max=self.states.shape[4] - 1)
        beyond = torch.arange(self.span, device=device) > self.places[..., None]
        hidden = torch.zeros(beyond.shape, device=device, dtype=dtype).masked_fill(beyond, float("-inf"))
        self.hidden = hidden.repeat(1, self.groups_of, 1)[:, None]  # [rows, 1, heads of a group x width, span]
        return self.model(
            self.inputs[:, : self.width].reshape(1, -1),
            position_ids=self.places.reshape(1, -1),
            use_cache=False,
            logits_to_keep=torch.arange(self.rows, device=device) * self.width + counts - 1,
            now=self,
        ).logits[0]

    def store(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep the keys and values of the new tokens; all that their rows have now, each [rows, heads, span, dim]."""
        kept = []
        for buffer, new in zip(self.states[layer].unbind(0), (key, value), strict=True):
            new = new[0].unflatten(1, (self.rows, self.width)).permute(1, 2, 0, 3)
            buffer[self.slots[:, None], :, self.places] = new
            # rows that write on lie in slots 0, 1, 2 …: no need to gather them
            rows = buffer[: self.rows] if self.width == 1 else buffer[self.slots]
            kept.append(rows[:, :, : self.span])
        return kept[0], kept[1]


class FixedShapes:
    """Keys and values of up to `rows` rows, and the passes recorded so far. `compiled` takes the place of the model."""

    def __init__(self, model: PreTrainedModel, rows: int, capacity: int = FIRST_CAPACITY, compiled: Callable | None = None):
        self.model, self.rows, self.compiled = model, rows, compiled
        self.passes: dict[tuple[int, int, int], FixedPass] = {}
        self.pool = torch.cuda.graph_pool_handle() if model.device.type == "cuda" else None
        config = model.config
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = config.num_hidden_layers, 2, rows + 1, config.num_key_value_heads, capacity, dim
        self.states = torch.zeros(shape, device=model.device, dtype=model.dtype)

    @property
    def capacity(self) -> int:
        return self.states.shape[4]

    def reserve(self, capacity: int) -> None:
        """Make room for so many tokens a row. Passes are bound to the old buffer, so they are recorded anew."""
        if capacity > self.capacity:
            old = self.states
            self.states = old.new_zeros(*old.shape[:4], power_of_two(capacity), old.shape[5])
            self.states[:, :, :, :, : old.shape[4]] = old
            self.passes.clear()

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's tokens over another's."""
        self.states[:, :, target, :, :length] = self.states[:, :, source, :, :length]

    def shrink(self) -> None:
        """Nothing: a GPU that had room for a long text has it for the next."""

    def begin(self, slot: int, prefix: Prefix) -> None:
        """Store what a row's prompt begins with."""
        if isinstance(prefix, CopiedPrefix):
            self.states[:, :, slot, :, : len(prefix.tokens)] = prefix.states

    def compute_prefix(self, tokens: Sequence[int]) -> CopiedPrefix:
        """Keys and values of tokens that prompts begin with, computed in the row that is nobody's."""
        self.reserve(len(tokens))
        self.logits([Given(slot=self.rows, seen=0, tokens=tokens)])
        return CopiedPrefix(tuple(tokens), states=self.states[:, :, self.rows, :, : len(tokens)].clone())

    def logits(self, rows: Sequence[Given]) -> torch.Tensor:
        """The logits of each row's next token, [rows, vocabulary]. Rows that write on come first, in slots 0, 1, 2 …"""
        return torch.cat([self.passed(part, width)(part) for part, width in parts(rows)])

    def passed(self, rows: Sequence[Given], width: int) -> FixedPass:
        """The pass whose shape fits the rows; recorded now when it is the first of its shape."""
        # Rows that begin are few, so that they may look at all slots; what they would gain is not worth more shapes.
        span = self.capacity if width > 1 else max(LEAST_SPAN, power_of_two(max(row.seen + 1 for row in rows)))
        shape = min(power_of_two(len(rows)), self.rows), width, min(span, self.capacity)
        if shape not in self.passes:
            model = self.model if self.compiled is None or width > 1 else self.compiled
            self.passes[shape] = FixedPass(model, self.model.config, self.states, shape, self.pool)
        return self.passes[shape]


def parts(rows: Sequence[Given]) -> Iterator[tuple[Sequence[Given], int]]:
    """Rows for one pass each, and its width: those that write on, then those that begin, as many as padding allows."""
    writing = list(takewhile(lambda row: row.seen and len(row.tokens) == 1, rows))
    if writing:
        yield writing, 1
    part: list[Given] = []
    width = LEAST_WIDTH
    for row in rows[len(writing) :]:
        wider = max(width, power_of_two(len(row.tokens)))
        if part and power_of_two(len(part) + 1) * wider > PADDED_TOKENS:
            yield part, width
            part, wider = [], max(LEAST_WIDTH, power_of_two(len(row.tokens)))
        part.append(row)
        width = wider
    if part:
        yield part, width


def power_of_two(number: int) -> int:
    """The least that is not below `number`."""
    return 1 << (number - 1).bit_length()


def fixed_attention(module, query, key, value, attention_mask, scaling=None, now: FixedPass | None = None, **options):
    """The attention function that transformers calls in each layer, [1, heads, tokens, dim]; it stores keys and values too."""
    refuse_unknown(options, now and now.span)
    keys, values = now.store(module.layer_idx, key, value)
    shape = keys.shape[1], now.groups_of, now.rows, now.width
    query = query[0].reshape(*shape, -1).permute(2, 0, 1, 3, 4)  # [rows, groups, heads of a group, width, dim]
    attended = scaled_dot_product_attention(query.flatten(2, 3), keys, values, attn_mask=now.hidden, scale=scaling)
    attended = attended.unflatten(2, (now.groups_of, now.width)).permute(0, 3, 1, 2, 4)
    return attended.reshape(1, now.rows * now.width, query.shape[1] * now.groups_of, -1), None


AttentionInterface.register(NAME, fixed_attention)
