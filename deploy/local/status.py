"""How the servers in use are doing, found out by asking them."""

import time
from dataclasses import dataclass, field

from deploy.local import triton_http
from deploy.local.child import is_alive
from deploy.local.reach import require_kafka, require_triton
from deploy.local.record import ServiceRecord, StackRecord, with_addresses
from schemas.errors import ConfigError, Retryable
from schemas.settings import Settings
from schemas.tensors import MODELS

ASK_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class ServiceStatus:
    """A server as found. `problem` says why it is not up; `pid` is None for one that is not ours; a line a model."""

    name: str
    up: bool
    addresses: dict[str, str]
    problem: str
    pid: int | None
    models: list[str] = field(default_factory=list)


def service_statuses(settings: Settings, record: StackRecord | None) -> list[ServiceStatus]:
    """Kafka and Triton: those of the running stack, and those whose address is in the settings."""
    known = settings if record is None else with_addresses(settings, record)
    own = {} if record is None else {service.name: service for service in record.services}
    statuses = []
    if known.kafka.bootstrap_servers:
        statuses.append(kafka_status(known, None if settings.kafka.bootstrap_servers else own.get("kafka")))
    if known.triton.grpc_address:
        statuses.append(triton_status(known, None if settings.triton.grpc_address else own.get("triton")))
    return statuses


def kafka_status(settings: Settings, own: ServiceRecord | None) -> ServiceStatus:
    """The broker in the settings."""
    problem = ended(own)
    if not problem:
        try:
            require_kafka(settings, ASK_TIMEOUT_S)
        except ConfigError as error:
            problem = str(error)
    addresses = {"bootstrap": settings.kafka.bootstrap_servers or ""}
    return ServiceStatus("kafka", not problem, addresses, problem, own.pid if own else None)


def triton_status(settings: Settings, own: ServiceRecord | None) -> ServiceStatus:
    """The Triton in the settings, and its models: with versions where it is ours."""
    problem = ended(own)
    wanted = tuple(own.models) if own else tuple(model.name for model in MODELS)
    if not problem:
        try:
            require_triton(settings, wanted, ASK_TIMEOUT_S)
        except ConfigError as error:
            problem = str(error)
    addresses = own.addresses if own else {"grpc": settings.triton.grpc_address or ""}
    models = own_models(own) if own else ([] if problem else [f"{name} READY" for name in wanted])
    return ServiceStatus("triton", not problem, addresses, problem, own.pid if own else None, models)


def own_models(own: ServiceRecord) -> list[str]:
    """A line a model of our Triton; none when it does not answer."""
    try:
        statuses = triton_http.model_statuses(own.addresses["http"])
    except Retryable:
        return []
    loaded = [status for status in statuses if status.state]
    return [f"{status.name} version {status.version} {status.state} {status.reason}".rstrip() for status in loaded]


def ended(own: ServiceRecord | None) -> str:
    """Why a server of ours is gone, or nothing while its process lives."""
    if own is None:
        return ""
    if own.ended is not None:
        signal = f" (killed by signal {own.ended - 128})" if own.ended > 128 else ""
        return f"it ended by itself with status {own.ended}{signal}; see `portrait logs {own.name}`"
    if own.pid is not None and not is_alive(own.pid):
        return f"its process {own.pid} is gone; see `portrait logs {own.name}`"
    return ""


def uptime(record: StackRecord) -> str:
    """Since when the stack runs, for people."""
    minutes, seconds = divmod(max(0, time.time_ns() // 1_000_000 - record.started_at_ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
