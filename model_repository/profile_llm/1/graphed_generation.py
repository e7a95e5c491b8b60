"""The generator for a GPU: the same rows that join and leave, in passes of fixed shapes."""

from collections.abc import Callable, Sequence

import torch
from fixed_shapes import NAME, FixedShapes, Given
from generation import Row, TextGenerator
from packed_attention import Prefix


class GraphedGenerator(TextGenerator):
    """Copies how prompts begin into every row, where the one for the CPU reads it once for all: a GPU has the bandwidth."""

    ATTENTION = NAME
    compiled: Callable | None = None

    def compile(self) -> None:
        """Have torch.compile fuse the passes of rows that write on: faster steps, for a start that takes a minute longer."""
        self.compiled = torch.compile(self.model)
        self.store = self.new_store()

    def new_store(self) -> FixedShapes:
        return FixedShapes(self.model, self.max_rows, compiled=self.compiled)

    @torch.inference_mode()
    def forward(self, rows: Sequence[Row], store: FixedShapes) -> torch.Tensor:
        for slot, row in enumerate(rows):
            store.begin(slot, row.prefix)
        return store.logits([Given(slot, row.prefix.own_tokens + row.length, row.next) for slot, row in enumerate(rows)])

    def compute_prefix(self, tokens: Sequence[int]) -> Prefix:
        return self.store.compute_prefix(tokens)
