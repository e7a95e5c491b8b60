"""latency_encoder: the newest 50 items of a user to the 50 best of all items, exactly.

A transformer of 2 layers and 64 dimensions with seeded random weights: what it costs is real, what it recommends is not.
HISTORY holds item numbers, oldest first, filled up in front with -1.
"""

import json

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

WIDTH, HEADS, LAYERS, LENGTH, TOP_K = 64, 4, 2, 50, 50


class Layer(torch.nn.Module):
    """Pre-norm attention and feed-forward; with `last_only` computed for the last position alone, all that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(WIDTH) for _ in range(2))
        self.query, self.key_value = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 2 * WIDTH)
        self.joined, self.wide = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = torch.nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, known: torch.Tensor, present: torch.Tensor, last_only: bool) -> torch.Tensor:
        asked = slice(-1, None) if last_only else slice(None)
        normed = self.norms[0](known)
        query, (key, value) = self.query(normed[:, asked]), self.key_value(normed).split(WIDTH, -1)
        attended = torch.nn.functional.scaled_dot_product_attention(*map(by_head, (query, key, value)), attn_mask=present)
        found = known[:, asked] + self.joined(attended.transpose(1, 2).flatten(2))
        return found + self.narrow(torch.relu_(self.wide(self.norms[1](found))))


def by_head(states: torch.Tensor) -> torch.Tensor:
    """[n, L, WIDTH] to [n, HEADS, L, WIDTH / HEADS]."""
    return states.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Encoder(torch.nn.Module):
    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = torch.nn.Embedding(items, WIDTH)
        self.places = torch.nn.Embedding(LENGTH, WIDTH)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = torch.nn.LayerNorm(WIDTH)

    def forward(self, history: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[n, 50] item numbers to [n, 50] best items and their scores, out of all items."""
        present = history >= 0
        present[:, -1] = True  # attention over nothing would be NaN
        known = self.items(history.clamp(min=0)) + self.places.weight
        for number, layer in enumerate(self.layers, start=1):
            known = layer(known, present[:, None, None], last_only=number == LAYERS)
        best = torch.topk(self.norm(known)[:, 0] @ self.items.weight.T, TOP_K)
        return best.indices, best.values


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.item_count = int(parameters["items"]["string_value"])
        torch.manual_seed(int(parameters["seed"]["string_value"]))
        torch.set_num_threads(1)
        self.encoder = Encoder(self.item_count).eval()
        self.best(np.zeros((8, LENGTH), np.int32))

    def execute(self, requests: list) -> list:
        return [self.respond(pb_utils.get_input_tensor_by_name(request, "HISTORY").as_numpy()) for request in requests]

    def respond(self, history: np.ndarray) -> "pb_utils.InferenceResponse":
        if history.min() < -1 or history.max() >= self.item_count:
            wrong = f"HISTORY must hold item numbers in 0..{self.item_count - 1}, or -1"
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(wrong, pb_utils.TritonError.INVALID_ARG))
        items, scores = self.best(history)
        return pb_utils.InferenceResponse([pb_utils.Tensor("ITEMS", items), pb_utils.Tensor("SCORES", scores)])

    @torch.inference_mode()
    def best(self, history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        items, scores = self.encoder(torch.from_numpy(history).long())
        return items.int().numpy(), scores.numpy()
