"""The client of Triton: texts and users to vectors, prompts to texts."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from consumers.encoded_users import EncodedUsers, NextItems
from consumers.inference.connection import connection, tensor_input, translated_errors
from consumers.inference.guard import Guard, repeated
from consumers.inference.refused_texts import Vectors, without_refused
from consumers.inference.text_stream import Generation, Sampling, TextStream
from schemas.errors import BadMessage, ConfigError
from schemas.metrics import CALLS_REPEATED, INFERENCE_SECONDS
from schemas.settings import TritonSettings
from schemas.tensors import EMBEDDING_DIM, MODELS, PROFILE_LLM, TEXT_ENCODER, USER_ENCODER, ModelContract

log = logging.getLogger("portrait.inference")

CHARACTERS_PER_CALL = 16_384  # keeps a call of long texts well inside its deadline
CHARACTERS_PER_TEXT = 2048  # text_encoder reads no more of a text
POLL_S = 0.1
USER_ANSWERS = ("USER_VECTOR", "NEXT_ITEMS", "NEXT_SCORES")
NUMPY_TYPES = {"FP16": np.float16, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64}


class Answer(NamedTuple):
    """Outputs of a model, and its version."""

    arrays: list[npt.NDArray[Any]]
    version: str


class InferenceClient:
    """A connection to one Triton. Reconnects by itself; safe to use from several threads.

    Every method raises Retryable when the server is down, slow or overloaded, BadMessage for input that it refuses, and
    ConfigError for what no repetition can mend. A call of an encoder is repeated inside a budget; a model that goes on failing
    is not asked for a while, and Retryable comes at once (docs/back-pressure.md).
    """

    def __init__(self, settings: TritonSettings) -> None:
        if not settings.grpc_address:
            raise ConfigError("no Triton address: start one with `portrait up`, or set PORTRAIT_TRITON__GRPC_ADDRESS")
        self._settings = settings
        self._address = settings.grpc_address
        self._client = triton.InferenceServerClient(self._address, **connection(settings))
        self._guards = {model.name: Guard(model.name, self._address, settings) for model in MODELS}
        self._versions: dict[str, str] = {}
        self._texts = TextStream(settings, self._guards[PROFILE_LLM.name], self._versions)
        self._texts_soon = ThreadPoolExecutor(1, thread_name_prefix="encode-texts")
        self._users_soon = ThreadPoolExecutor(1, thread_name_prefix="encode-users")

    def close(self) -> None:
        """Cancel the texts in flight and close the connections."""
        self._texts_soon.shutdown(cancel_futures=True)
        self._users_soon.shutdown(cancel_futures=True)
        self._texts.close()
        self._client.close()

    def wait_ready(self, models: Iterable[str], timeout_s: float) -> None:
        """Return once all these models answer.

        Raises:
            ConfigError: one does not within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        for model in models:
            while (problem := self._not_ready(model)) is not None:
                if time.monotonic() > deadline:
                    raise ConfigError(f"{problem} (waited {timeout_s:.0f} s)")
                time.sleep(POLL_S)

    def model_version(self, name: str) -> str:
        """The version of a model that answered last, or before the first call the newest one loaded."""
        if name in self._versions:
            return self._versions[name]
        with translated_errors(name, self._address):
            metadata = self._client.get_model_metadata(name, client_timeout=self._settings.encoder_timeout_s)
        return str(max(metadata.versions, key=int))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, [n, d], in their order; zeros for a text that the model refuses for good."""
        vectors = [np.zeros((0, EMBEDDING_DIM), np.float32)]
        for chunk in chunks_of_texts(texts, self._settings.max_batch):
            vectors.append(without_refused(self._encode_chunk, chunk, _report_refused))
        return np.concatenate(vectors)

    def encode_texts_soon(self, texts: Sequence[str]) -> "Future[Vectors]":
        """As `encode_texts`, in a thread beside the caller; calls are made one after another."""
        return self._texts_soon.submit(self.encode_texts, texts)

    def _encode_chunk(self, texts: Sequence[str]) -> Vectors:
        rows = np.array([[text.encode(errors="replace")] for text in texts], dtype=object)
        return self._infer(TEXT_ENCODER, {"TEXT": rows}, ("EMBEDDING",)).arrays[0]

    def encode_users(self, features: Mapping[str, npt.NDArray[Any]]) -> EncodedUsers:
        """What user_encoder says of at most `max_batch` users, in their order. `features` are the inputs of USER_ENCODER."""
        (vectors, numbers, scores), version = self._infer(USER_ENCODER, features, USER_ANSWERS)
        return EncodedUsers(vectors, NextItems(numbers, scores), version)

    def encode_users_soon(self, features: Mapping[str, npt.NDArray[Any]]) -> "Future[EncodedUsers]":
        """As `encode_users`, in a thread beside the caller; calls are made one after another."""
        return self._users_soon.submit(self.encode_users, features)

    def ranker(self) -> str:
        """The ranker that was trained together with the user_encoder that is loaded, as JSON; empty for the plain one."""
        nobody = {
            tensor.name: np.zeros([1, *(max(size, 1) for size in tensor.shape)], NUMPY_TYPES[tensor.datatype])
            for tensor in USER_ENCODER.inputs
        }
        [answer] = self._infer(USER_ENCODER, nobody, ("RANKER",)).arrays
        return str(answer.ravel()[0].decode())

    def generate(self, prompt: str, sampling: Sampling, on_piece: Callable[[str], None] | None = None) -> "Future[Generation]":
        """Ask for a text; many may be in flight. Cancelling the future frees the server of it.

        With `on_piece` the text comes in pieces as it is written, each passed on at once, in a thread that must not be kept
        waiting; the future has the whole text as always.
        """
        return self._texts.generate(prompt, sampling, on_piece)

    def _not_ready(self, model: str) -> str | None:
        """What keeps a model from answering, in one sentence; None when it does."""
        try:
            if self._client.is_model_ready(model, client_timeout=POLL_S * 10):
                return None
            return f"model {model} is not loaded by Triton at {self._address}: see its log (`portrait logs triton`)"
        except InferenceServerException as error:
            return (
                f"Triton at {self._address} does not answer ({error.message()}): start it with `portrait up`, "
                "or set PORTRAIT_TRITON__GRPC_ADDRESS to where it is"
            )

    def _infer(self, contract: ModelContract, arrays: Mapping[str, npt.NDArray[Any]], wanted: Sequence[str]) -> "Answer":
        """The outputs `wanted`, by one call behind its breaker, repeated inside the budget; a probe of a server is not."""
        inputs = [tensor_input(tensor.name, tensor.datatype, arrays[tensor.name]) for tensor in contract.inputs]
        with self._guards[contract.name].call() as admission:
            budget_s = 0.0 if admission.probe else self._settings.retry_budget_s
            count = CALLS_REPEATED.labels(contract.name).inc
            return repeated(lambda: self._attempt(contract, inputs, wanted), budget_s, count)

    def _attempt(self, contract: ModelContract, inputs: list[Any], wanted: Sequence[str]) -> "Answer":
        timeout_s = self._settings.encoder_timeout_s
        with INFERENCE_SECONDS.labels(contract.name).time(), translated_errors(contract.name, self._address):
            outputs = [triton.InferRequestedOutput(name) for name in wanted]
            result = self._client.infer(contract.name, inputs, outputs=outputs, client_timeout=timeout_s)
        version = self._versions[contract.name] = result.get_response().model_version
        arrays = [result.as_numpy(name) for name in wanted]
        if missing := [name for name, array in zip(wanted, arrays, strict=True) if array is None]:
            raise ConfigError(f"{contract.name} at {self._address} answered without {', '.join(missing)}")
        return Answer(arrays, version)


def chunks_of_texts(texts: Sequence[str], max_texts: int) -> Iterator[list[str]]:
    """Texts in order, in chunks of bounded number and length."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        cut = text[:CHARACTERS_PER_TEXT]
        if chunk and (len(chunk) == max_texts or characters + len(cut) > CHARACTERS_PER_CALL):
            yield chunk
            chunk, characters = [], 0
        chunk.append(cut)
        characters += len(cut)
    if chunk:
        yield chunk


def _report_refused(text: str, refusal: BadMessage) -> None:
    log.warning("a text of %d characters is left without a vector: %.500s", len(text), refusal.detail)
