"""How Triton is reached, and what its errors mean to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from schemas.errors import BadMessage, ConfigError, PortraitError, Retryable
from schemas.metrics import INFERENCE_ERRORS
from schemas.settings import TritonSettings

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
