"""Triton's HTTP endpoints for health and model control; inference goes through the consumers' own client."""

import http.client
import json
from dataclasses import dataclass
from typing import Any

from schemas.errors import Retryable

HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class ModelStatus:
    """One version of a model in the repository. `reason` says why it is not ready."""

    name: str
    version: str
    state: str
    reason: str


def is_live(address: str) -> bool:
    """Whether the server answers and takes requests, whatever its models do."""
    try:
        status, _ = request(address, "GET", "/v2/health/live", HEALTH_TIMEOUT_S)
    except Retryable:
        return False
    return status == 200


def load_model(address: str, name: str, timeout_s: float) -> None:
    """Load a model, or load it again when its folder has changed; returns when it is ready.

    Raises:
        Retryable: it did not load; the message is Triton's reason.
    """
    control(address, name, "load", timeout_s)


def unload_model(address: str, name: str, timeout_s: float) -> None:
    """Drop a model.

    Raises:
        Retryable: it was not dropped; the message is Triton's reason.
    """
    control(address, name, "unload", timeout_s)


def control(address: str, name: str, action: str, timeout_s: float) -> None:
    """One call of the model repository API."""
    status, body = request(address, "POST", f"/v2/repository/models/{name}/{action}", timeout_s)
    if status != 200:
        raise Retryable(str(body.get("error", f"HTTP status {status}")) if isinstance(body, dict) else f"HTTP status {status}")


def model_statuses(address: str) -> list[ModelStatus]:
    """Every model of the repository and its state; `state` is empty for one never loaded.

    Raises:
        Retryable: the server does not answer.
    """
    status, body = request(address, "POST", "/v2/repository/index", HEALTH_TIMEOUT_S)
    if status != 200 or not isinstance(body, list):
        raise Retryable(f"Triton at {address} did not list its models: HTTP status {status}")
    return [ModelStatus(*(str(model.get(key, "")) for key in ("name", "version", "state", "reason"))) for model in body]


def request(address: str, method: str, path: str, timeout_s: float) -> tuple[int, Any]:
    """HTTP status and JSON body (None when there is none).

    Raises:
        Retryable: no answer.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Retryable(f"Triton at {address} does not answer {path}: {error}") from error
    finally:
        connection.close()
    return response.status, json.loads(text) if text else None
