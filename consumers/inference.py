"""The client of Triton: texts and users to vectors, prompts to texts. The only owner of tritonclient."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from schemas.errors import BadMessage, ConfigError, PortraitError, Retryable
from schemas.metrics import INFERENCE_ERRORS, INFERENCE_SECONDS
from schemas.settings import TritonSettings
from schemas.tensors import EMBEDDING_DIM, PROFILE_LLM, TEXT_ENCODER, USER_ENCODER, ModelContract

Vectors = npt.NDArray[np.float32]
T = TypeVar("T")

CHARACTERS_PER_CALL = 16_384  # keeps a call of long texts well inside its deadline
CHARACTERS_PER_TEXT = 2048  # text_encoder reads no more of a text
POLL_S = 0.1
CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # gRPC's own two minutes would outlast any restart
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),  # a server that vanished without a word
    ("grpc.use_local_subchannel_pool", 1),
]
NEVER = {"UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"}
REFUSED = {"INVALID_ARGUMENT", "OUT_OF_RANGE"}
TRANSIENT_WORDS = ("unavailable", "cancelled", "unknown model", "not ready", "ready state", "queue size", "timeout expired")
"""A stream carries no error codes: words of profile_llm, Triton and the vLLM backend for what may succeed later."""


@dataclass(frozen=True)
class Sampling:
    """How to write a text; temperature 0 takes the likeliest token each time."""

    max_tokens: int = 96
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def as_json(self) -> str:
        """The `sampling_parameters` tensor."""
        seed = {} if self.seed is None else {"seed": self.seed}
        fixed = {"max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p, "stop": list(self.stop)}
        return json.dumps(fixed | seed)


@dataclass(frozen=True)
class Generation:
    """A text, without its prompt. `finish_reason` is `stop` or, when it ran out of tokens, `length`."""

    text: str
    tokens: int
    seconds: float
    finish_reason: str


class InferenceClient:
    """A connection to one Triton. Reconnects by itself; safe to use from several threads.

    Every method raises Retryable when the server is down, slow or overloaded, BadMessage for input that it refuses, and
    ConfigError for what no repetition can mend.
    """

    def __init__(self, settings: TritonSettings) -> None:
        if not settings.grpc_address:
            raise ConfigError("no Triton address: start one with `portrait up`, or set PORTRAIT_TRITON__GRPC_ADDRESS")
        self._settings = settings
        self._address = settings.grpc_address
        self._client = triton.InferenceServerClient(self._address, **connection(settings))
        self._texts = TextStream(settings)
        self._soon = ThreadPoolExecutor(1, thread_name_prefix="encode-texts")
        self._versions: dict[str, str] = {}

    def close(self) -> None:
        """Cancel the texts in flight and close the connections."""
        self._soon.shutdown(cancel_futures=True)
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
        """Unit vectors of texts, [n, d], in their order."""
        vectors = [np.zeros((0, EMBEDDING_DIM), np.float32)]
        for chunk in chunks_of_texts(texts, self._settings.max_batch):
            rows = np.array([[text.encode(errors="replace")] for text in chunk], dtype=object)
            vectors.append(self._infer(TEXT_ENCODER, {"TEXT": rows}))
        return np.concatenate(vectors)

    def encode_texts_soon(self, texts: Sequence[str]) -> "Future[Vectors]":
        """As `encode_texts`, in a thread beside the caller; calls are made one after another."""
        return self._soon.submit(self.encode_texts, texts)

    def encode_users(self, features: Mapping[str, npt.NDArray[Any]]) -> Vectors:
        """Unit vectors of users, [n, d]; zeros where nothing is known. `features` are the inputs of USER_ENCODER by name."""
        users = len(features["HISTORY_TYPES"])
        vectors = [np.zeros((0, EMBEDDING_DIM), np.float32)]
        for start in range(0, users, self._settings.max_batch):
            chunk = {name: array[start : start + self._settings.max_batch] for name, array in features.items()}
            vectors.append(self._infer(USER_ENCODER, without_common_padding(chunk)))
        return np.concatenate(vectors)

    def generate(self, prompt: str, sampling: Sampling) -> "Future[Generation]":
        """Ask for a text; many may be in flight. Cancelling the future frees the server of it."""
        return self._texts.generate(prompt, sampling)

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

    def _infer(self, contract: ModelContract, arrays: Mapping[str, npt.NDArray[Any]]) -> Vectors:
        inputs = [tensor_input(tensor.name, tensor.datatype, arrays[tensor.name]) for tensor in contract.inputs]
        timeout_s = self._settings.encoder_timeout_s
        with INFERENCE_SECONDS.labels(contract.name).time(), translated_errors(contract.name, self._address):
            result = self._client.infer(contract.name, inputs, client_timeout=timeout_s, timeout=int(timeout_s * 1e6))
        self._versions[contract.name] = result.get_response().model_version
        vectors: Vectors | None = result.as_numpy(contract.outputs[0].name)
        if vectors is None:
            raise ConfigError(f"{contract.name} at {self._address} answered without {contract.outputs[0].name}")
        return vectors


class TextStream:
    """Texts in flight: each its own gRPC stream, all in one thread's event loop."""

    def __init__(self, settings: TritonSettings) -> None:
        self._settings = settings
        self._address = str(settings.grpc_address)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="texts", daemon=True)
        self._thread.start()
        self._client = self._run(self._connect()).result()

    def generate(self, prompt: str, sampling: Sampling) -> "Future[Generation]":
        """See InferenceClient.generate."""
        return self._run(self._generate(prompt, sampling))

    def close(self) -> None:
        """Cancel what is in flight and end the thread."""
        if self._loop.is_closed():
            return
        self._run(self._disconnect()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _connect(self) -> Any:
        return triton_aio.InferenceServerClient(self._address, **connection(self._settings))

    async def _disconnect(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    async def _generate(self, prompt: str, sampling: Sampling) -> Generation:
        started = time.perf_counter()
        with INFERENCE_SECONDS.labels(PROFILE_LLM.name).time(), translated_errors(PROFILE_LLM.name, self._address):
            responses = self._client.stream_infer(
                one(self._request(prompt, sampling)), stream_timeout=self._settings.llm_timeout_s
            )
            try:
                result = await first_response(responses)
            finally:
                responses.cancel()
        return Generation(
            text=result.as_numpy("text_output")[0].decode(errors="replace"),
            tokens=int(result.as_numpy("num_output_tokens")[0]),
            seconds=time.perf_counter() - started,
            finish_reason=result.as_numpy("finish_reason")[0].decode(),
        )

    def _request(self, prompt: str, sampling: Sampling) -> dict[str, Any]:
        values: dict[str, Any] = {
            "text_input": np.array([prompt.encode(errors="replace")], dtype=object),
            "stream": np.array([False]),
            "sampling_parameters": np.array([sampling.as_json().encode()], dtype=object),
            "exclude_input_in_output": np.array([True]),
            "return_finish_reason": np.array([True]),
            "return_num_output_tokens": np.array([True]),
        }
        return {
            "model_name": PROFILE_LLM.name,
            "inputs": [tensor_input(tensor.name, tensor.datatype, values[tensor.name]) for tensor in PROFILE_LLM.inputs],
            "timeout": int(self._settings.llm_timeout_s * 1e6),
        }


async def one(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The requests of a stream that has one."""
    yield request


async def first_response(responses: Any) -> Any:
    """The answer on a stream that gives one; raises the server's error."""
    try:
        async for result, error in responses:
            if error is not None:
                raise error
            return result
    except grpc.aio.AioRpcError as error:  # tritonclient lets it through
        raise InferenceServerException(error.details() or "", str(error.code())) from error
    raise InferenceServerException("unavailable: the stream ended without an answer")


def connection(settings: TritonSettings) -> dict[str, Any]:
    """How both kinds of client connect."""
    ca_location: Path | None = settings.ca_location
    return {
        "ssl": settings.tls,
        "root_certificates": str(ca_location) if ca_location else None,
        "channel_args": CHANNEL_OPTIONS,
    }


def tensor_input(name: str, datatype: str, array: npt.NDArray[Any]) -> Any:
    """A request's tensor."""
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(np.ascontiguousarray(array))
    return tensor


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


def without_common_padding(features: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The features with histories as long as the longest among these users, at least 1."""
    used = np.flatnonzero((features["HISTORY_TYPES"] != 0).any(axis=0))
    length = int(used[-1]) + 1 if used.size else 1
    return {name: array[:, :length] if name.startswith("HISTORY_") else array for name, array in features.items()}


@contextmanager
def translated_errors(model: str, address: str) -> Iterator[None]:
    """Turn Triton's errors into ours, and count them."""
    try:
        yield
    except InferenceServerException as error:
        ours, kind = translate(error, f"{model} at {address}")
        INFERENCE_ERRORS.labels(model, kind).inc()
        raise ours from error


def translate(error: InferenceServerException, where: str) -> tuple[PortraitError, str]:
    """Our error for one of Triton's, and its kind as the metric names it."""
    status = (error.status() or "").removeprefix("StatusCode.")
    text = f"{where}: {error.message()}"
    if status in NEVER:
        return ConfigError(text), status.lower()
    if status in REFUSED or (not status and not any(word in error.message().lower() for word in TRANSIENT_WORDS)):
        return BadMessage("inference_refused", text), "refused"
    return Retryable(text), status.lower() or "stream"
