"""Whether a Kafka or a Triton, ours or somebody's, really answers."""

from typing import Any

import grpc  # type: ignore[import-untyped]
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import ConfigError
from schemas.settings import Settings, TritonSettings

KAFKA_TIMEOUT_S = 10.0
TRITON_TIMEOUT_S = 5.0
SERVICE = "/inference.GRPCInferenceService/"
TRUE = b"\x08\x01"
"""ServerLiveResponse and ModelReadyResponse with their one field true. Two calls are not worth the whole client, which
belongs to the consumers."""


def require_kafka(settings: Settings, timeout_s: float = KAFKA_TIMEOUT_S) -> int:
    """The number of brokers of the Kafka in the settings.

    Raises:
        ConfigError: it does not answer, or the login failed.
    """
    said: list[str] = []
    config: dict[str, Any] = {
        **settings.kafka.client_config(),
        "log_level": 0,
        "error_cb": lambda error: said.append(error.str()),
    }
    admin = AdminClient(config)
    try:
        return len(admin.describe_cluster(request_timeout=timeout_s).result(timeout_s + 1).nodes)
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)  # delivers what the connections met with
        why = said[0] if said else "no answer"
        raise ConfigError(
            f"Kafka at {settings.kafka.bootstrap_servers} did not answer within {timeout_s:.0f} s: {why}; "
            "check PORTRAIT_KAFKA__BOOTSTRAP_SERVERS and the login settings beside it"
        ) from error


def require_triton(settings: Settings, models: tuple[str, ...] = (), timeout_s: float = TRITON_TIMEOUT_S) -> None:
    """Check that the Triton in the settings is up, and these models on it ready.

    Raises:
        ConfigError: it does not answer, or lacks one of the models.
    """
    address = settings.triton.grpc_address
    if address is None:
        raise ConfigError("no Triton address: start one with `portrait up`, or set PORTRAIT_TRITON__GRPC_ADDRESS")
    with channel(settings.triton, address) as connection:
        try:
            # not ServerReady: that is false also when a model was unloaded on purpose
            if not ask(connection, "ServerLive", b"", timeout_s):
                raise ConfigError(f"Triton at {address} answers but is not up yet; try again in a moment")
            missing = [name for name in models if not ask(connection, "ModelReady", model_request(name), timeout_s)]
        except grpc.RpcError as error:
            raise ConfigError(
                f"Triton at {address} does not answer: {error.details()}; check PORTRAIT_TRITON__GRPC_ADDRESS"
            ) from error
    if missing:
        raise ConfigError(f"Triton at {address} is up, but its models {', '.join(missing)} are not ready; see its log")


def channel(triton: TritonSettings, address: str) -> grpc.Channel:
    """A gRPC channel as the settings ask for."""
    if not triton.tls:
        return grpc.insecure_channel(address)
    roots = triton.ca_location.read_bytes() if triton.ca_location else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))


def ask(connection: grpc.Channel, method: str, request: bytes, timeout_s: float) -> bool:
    """One readiness call."""
    return bool(connection.unary_unary(SERVICE + method)(request, timeout=timeout_s) == TRUE)


def model_request(name: str) -> bytes:
    """ModelReadyRequest: the name is field 1, a string shorter than 128 bytes."""
    return b"\x0a" + bytes([len(name)]) + name.encode()
