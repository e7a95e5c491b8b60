"""Texts from profile_llm, many in flight at once."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
import numpy as np
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from consumers.inference.connection import connection, tensor_input, translated_errors
from consumers.inference.guard import Guard
from schemas.metrics import INFERENCE_SECONDS
from schemas.settings import TritonSettings
from schemas.tensors import PROFILE_LLM

T = TypeVar("T")
UNFINISHED = "None"
"""The finish reason of a piece that is not the last, as the vLLM backend spells it."""


@dataclass(frozen=True)
class Sampling:
    """How to write a text; temperature 0 takes the likeliest token each time.

    `priority` says who of those who wait goes first: 0 before 9.
    """

    max_tokens: int = 96
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    priority: int = 0

    def as_json(self, lora: str = "") -> str:
        """The `sampling_parameters` tensor. `lora` is an adapter of the vLLM backend."""
        chosen = {"max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p, "stop": list(self.stop)}
        optional = {"seed": self.seed, "lora_name": lora or None}
        return json.dumps(chosen | {name: value for name, value in optional.items() if value is not None})


@dataclass(frozen=True)
class Generation:
    """A text, without its prompt. `finish_reason` is `stop` or, when it ran out of tokens, `length`."""

    text: str
    tokens: int
    seconds: float
    finish_reason: str


class TextStream:
    """Texts in flight: each its own gRPC stream, all in one thread's event loop."""

    def __init__(self, settings: TritonSettings, guard: Guard, versions: dict[str, str]) -> None:
        """`versions` is told which version of profile_llm answered last."""
        self._settings = settings
        self._guard = guard
        self._versions = versions
        self._address = str(settings.grpc_address)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="texts", daemon=True)
        self._thread.start()
        self._client = self._run(self._connect()).result()

    def generate(self, prompt: str, sampling: Sampling, on_piece: Callable[[str], None] | None = None) -> "Future[Generation]":
        """See InferenceClient.generate."""
        return self._run(self._generate(prompt, sampling, on_piece))

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

    async def _generate(self, prompt: str, sampling: Sampling, on_piece: Callable[[str], None] | None) -> Generation:
        started = time.perf_counter()
        timed = INFERENCE_SECONDS.labels(PROFILE_LLM.name).time()
        pieces: list[str] = []
        tokens = 0
        with self._guard.call(), timed, translated_errors(PROFILE_LLM.name, self._address):
            responses = self._client.stream_infer(
                one(self._request(prompt, sampling, streamed=on_piece is not None)),
                stream_timeout=self._settings.llm_timeout_s,
            )
            try:
                async for result in answers(responses):
                    pieces.append(result.as_numpy("text_output")[0].decode(errors="replace"))
                    tokens += int(result.as_numpy("num_output_tokens")[0])
                    if on_piece is not None and pieces[-1]:
                        on_piece(pieces[-1])
            finally:
                responses.cancel()
        self._versions[PROFILE_LLM.name] = result.get_response().model_version
        return Generation(
            text="".join(pieces),
            tokens=tokens,
            seconds=time.perf_counter() - started,
            finish_reason=result.as_numpy("finish_reason")[0].decode(),
        )

    def _request(self, prompt: str, sampling: Sampling, streamed: bool) -> dict[str, Any]:
        values: dict[str, Any] = {
            "text_input": np.array([prompt.encode(errors="replace")], dtype=object),
            "stream": np.array([streamed]),
            "sampling_parameters": np.array([sampling.as_json(self._settings.llm_lora).encode()], dtype=object),
            "exclude_input_in_output": np.array([True]),
            "return_finish_reason": np.array([True]),
            "return_num_output_tokens": np.array([True]),
        }
        return {
            "model_name": PROFILE_LLM.name,
            "inputs": [tensor_input(tensor.name, tensor.datatype, values[tensor.name]) for tensor in PROFILE_LLM.inputs],
            "timeout": int(self._settings.llm_timeout_s * 1e6),
            "parameters": {"queue_priority": sampling.priority},
        }


async def one(request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """The requests of a stream that has one."""
    yield request


async def answers(responses: Any) -> AsyncIterator[Any]:
    """The answer on a stream, or its pieces up to the last; raises the server's error."""
    try:
        async for result, error in responses:
            if error is not None:
                raise error
            yield result
            if result.as_numpy("finish_reason")[0].decode() != UNFINISHED:
                return
    except grpc.aio.AioRpcError as error:  # tritonclient lets it through
        raise InferenceServerException(error.details() or "", str(error.code())) from error
    raise InferenceServerException("unavailable: the stream ended without an answer")
