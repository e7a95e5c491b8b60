"""The sequence network: what a user did, in order, becomes one vector that scores every item.

After SASRec (Kang and McAuley 2018) with what has been found to matter since: cross-entropy over all items, or many of them,
in place of one negative (gSASRec, Petrov and Macdonald 2023), pre-norm blocks with gated sub-layers (LiGR, Borisyuk et al.
2024) and SwiGLU.
An item is the sum of an id part, learned, and a part projected from its content vector, so a new item has a place at once.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

GAP_BUCKETS = 16
VALUE_BUCKETS = 12
TYPE_BUCKETS = 32
Fusion = Literal["gated", "concat"]


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the network: it reads the newest `length` events, and `fusion` is how a history and the rest become one."""

    dim: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2
    length: int = 50
    fusion: Fusion = "gated"


class Block(nn.Module):
    """Attention, then a SwiGLU, each behind a gate that the input opens."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        dim, hidden = shape.dim, 8 * shape.dim // 3
        self.heads = shape.heads
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.attended = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.gate_attention, self.gate_feed = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 2 * hidden), nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor, last: bool = False) -> Tensor:
        """[batch, length, dim] to the same; `mask` [batch, 1, length, length] is True where a place may look.

        With `last`, only the last place is worked out: [batch, 1, dim].
        """
        batch, length, dim = x.shape
        normed = self.norm_attention(x)
        query, key, value = (
            self.query_key_value(normed).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        )
        if last:
            x, normed, query, mask, length = x[:, -1:], normed[:, -1:], query[:, :, -1:], mask[:, :, -1:], 1
        dropout = self.dropout.p if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        attended = self.attended(attended.transpose(1, 2).reshape(batch, length, dim))
        x = x + self.dropout(torch.sigmoid(self.gate_attention(normed)) * attended)
        normed = self.norm_feed(x)
        up, gate = self.up(normed).chunk(2, dim=-1)
        x = x + self.dropout(torch.sigmoid(self.gate_feed(normed)) * self.down(functional.silu(gate) * up))
        return x


class SequenceNetwork(nn.Module):
    """Events of users, oldest first and padded on the left, to vectors in the space of `item_table`."""

    def __init__(self, items: int, shape: NetworkShape, content: Tensor | None) -> None:
        """`content` [items, c] holds a vector of what each item says and is, or None where nothing is known."""
        super().__init__()
        self.ids = embedding(items + 1, shape.dim)  # row 0 is padding
        self.content_part: nn.Linear | None = None
        if content is not None:
            self.register_buffer("content", functional.pad(content, (0, 0, 1, 0)))
            self.content_part = nn.Linear(content.shape[1], shape.dim, bias=False)
            nn.init.normal_(self.content_part.weight, std=0.02 / content.shape[1] ** 0.5)
        self.positions, self.gaps = embedding(shape.length, shape.dim), embedding(GAP_BUCKETS, shape.dim)
        self.values, self.types = embedding(VALUE_BUCKETS, shape.dim), embedding(TYPE_BUCKETS, shape.dim)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm, self.dropout = nn.LayerNorm(shape.dim), nn.Dropout(shape.dropout)
        self.item_bias = nn.Parameter(torch.zeros(items + 1))

    def item_table(self) -> Tensor:
        """Vectors of all items, [items + 1, dim]; row 0 is padding."""
        ids: Tensor = self.ids.weight
        return ids if self.content_part is None else ids + self.content_part(self.content)

    def forward(self, items: Tensor, gaps: Tensor, values: Tensor, types: Tensor, table: Tensor) -> Tensor:
        """[batch, length] of each, to [batch, length, dim]: at each place, what comes after it. `table` is `item_table()`."""
        return self.read(functional.embedding(items, table), items != 0, gaps, values, types)

    def read(self, vectors: Tensor, there: Tensor, gaps: Tensor, values: Tensor, types: Tensor, last: bool = False) -> Tensor:
        """As `forward`, of items given by their vectors [batch, length, dim]; `there` is False at padding.

        With `last`, what comes after the last place alone: [batch, 1, dim].
        """
        length = vectors.shape[1]
        x = vectors + self.gaps(gaps) + self.values(values) + self.types(types)
        # Places count from the end: what was done last matters most, however long the history.
        x = self.dropout(x + self.positions.weight[:length].flip(0))
        itself = torch.eye(length, dtype=torch.bool, device=vectors.device)  # a padded row must see something, or it is NaN
        earlier = torch.ones(length, length, dtype=torch.bool, device=vectors.device).tril()
        mask = ((earlier & there[:, None, :]) | itself)[:, None]
        *earlier_blocks, last_block = self.blocks
        for block in earlier_blocks:
            x = block(x, mask)
        x = last_block(x, mask, last)
        normed: Tensor = self.norm(x)
        return normed


def embedding(rows: int, dim: int) -> nn.Embedding:
    """A table of small random vectors."""
    table = nn.Embedding(rows, dim)
    nn.init.normal_(table.weight, std=0.02)
    return table
