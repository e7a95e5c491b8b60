"""text_encoder: texts to unit vectors.

Environment:
    PORTRAIT_WEIGHTS__TEXT_ENCODER   folder with a BERT-like encoder that transformers can load
    PORTRAIT_MODELS__DEVICE               auto (default), cpu or cuda
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

MAX_TOKENS = 256
MAX_CHARACTERS = 2048  # cut before tokenising: a hostile text must not cost more than an honest one
TOKENS_AT_ONCE = 4096  # padded tokens in one forward pass


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        folder = weights_folder("PORTRAIT_WEIGHTS__TEXT_ENCODER")
        self.device = chosen_device()
        if self.device.type == "cpu":
            # Half the cores: on a busy machine threads that wait for each other cost more than they bring.
            torch.set_num_threads(max(1, min(4, (os.cpu_count() or 1) // 2)))
        transformers_logging.disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=fast_dtype(self.device)).to(self.device).eval()
        self.pools_first_token = pools_first_token(folder)
        self.check_dimension(json.loads(args["model_config"]), folder)
        self.encode(["warm up " * length for length in (1, 8, 32, 128)])

    def execute(self, requests: list) -> list:
        """One response a request; a request with a wrong text gets an error, the others their vectors."""
        texts: list[str] = []
        spans: list[slice | pb_utils.TritonError] = []
        for request in requests:
            try:
                wanted = read_texts(request)
            except ValueError as error:
                spans.append(pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
                continue
            spans.append(slice(len(texts), len(texts) + len(wanted)))
            texts += wanted
        vectors = self.encode(texts)
        return [answer(vectors, span) for span in spans]

    @torch.inference_mode()
    def encode(self, texts: list[str]) -> np.ndarray:
        """Unit vectors, float32 [n, d], in the order of the texts."""
        if not texts:
            return np.zeros((0, self.model.config.hidden_size), np.float32)
        token_ids = self.tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        vectors = torch.empty(len(texts), self.model.config.hidden_size)
        for rows in batches_of_like_length([len(ids) for ids in token_ids]):
            batch = self.tokenizer.pad({"input_ids": [token_ids[row] for row in rows]}, return_tensors="pt").to(self.device)
            hidden = self.model(**batch).last_hidden_state.float()
            pooled = hidden[:, 0] if self.pools_first_token else mean_of_tokens(hidden, batch["attention_mask"])
            vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu()
        return vectors.numpy()

    def check_dimension(self, config: dict, folder: str) -> None:
        dimension = int(config["output"][0]["dims"][0])
        if self.model.config.hidden_size != dimension:
            raise pb_utils.TritonModelException(
                f"text_encoder: {folder} gives vectors of {self.model.config.hidden_size}, config.pbtxt says {dimension}; "
                "name other weights, or change the dimension in schemas/tensors.py and every config.pbtxt"
            )


def read_texts(request: "pb_utils.InferenceRequest") -> list[str]:
    """The texts of a request, cut to MAX_CHARACTERS; ValueError when one is not UTF-8."""
    try:
        rows = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
        return [text.decode()[:MAX_CHARACTERS] for text in rows.reshape(-1)]
    except UnicodeDecodeError as error:
        raise ValueError(f"text_encoder: TEXT is not UTF-8: {error}") from error


def answer(vectors: np.ndarray, span: "slice | pb_utils.TritonError") -> "pb_utils.InferenceResponse":
    if not isinstance(span, slice):
        return pb_utils.InferenceResponse(error=span)
    return pb_utils.InferenceResponse([pb_utils.Tensor("EMBEDDING", vectors[span])])


def batches_of_like_length(lengths: list[int]) -> list[list[int]]:
    """Row numbers, shortest first, in groups of at most TOKENS_AT_ONCE once padded: little is computed on padding."""
    groups: list[list[int]] = [[]]
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups[-1] and (len(groups[-1]) + 1) * lengths[row] > TOKENS_AT_ONCE:
            groups.append([])
        groups[-1].append(row)
    return groups


def mean_of_tokens(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    mask = attention_mask.unsqueeze(-1).float()
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


def pools_first_token(folder: str) -> bool:
    """Whether these weights were trained with the first token's vector; sentence-transformers keeps that beside them."""
    pooling = Path(folder, "1_Pooling", "config.json")
    return pooling.is_file() and bool(json.loads(pooling.read_text()).get("pooling_mode_cls_token"))


def weights_folder(variable: str) -> str:
    folder = os.environ.get(variable, "")
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise pb_utils.TritonModelException(f"{variable}={folder!r} is not a folder of weights; `portrait up` sets it")
    return folder


def chosen_device() -> torch.device:
    wanted = os.environ.get("PORTRAIT_MODELS__DEVICE", "auto")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware computes in it (cosine to fp32 0.9999), else fp32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32
