"""latency_encoder: the newest 50 items of a user to the 50 best of all items, exactly.

A transformer of 2 layers and 64 dimensions with seeded random weights: what it costs is real, what it recommends is not.
HISTORY holds item numbers, oldest first, filled up in front with -1.
"""

import json

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

WIDTH, HEADS, LAYERS, LENGTH, TOP_K = 64, 4, 2, 50, 50


class Encoder(torch.nn.Module):
    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = torch.nn.Embedding(items, WIDTH)
        self.places = torch.nn.Embedding(LENGTH, WIDTH)
        layer = torch.nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, LAYERS, norm=torch.nn.LayerNorm(WIDTH), enable_nested_tensor=False)

    def forward(self, history: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[n, 50] item numbers to [n, 50] best items and their scores, out of all items."""
        missing = history < 0
        missing[:, -1] = False  # attention over nothing would be NaN
        known = self.items(history.clamp(min=0)) + self.places.weight
        users = self.layers(known, src_key_padding_mask=missing)[:, -1]
        best = torch.topk(users @ self.items.weight.T, TOP_K)
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
