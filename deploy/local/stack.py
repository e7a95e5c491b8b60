"""Kafka and Triton on this machine: owned by one process, started side by side, and gone when it is gone."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import Children
from deploy.local.kafka import LONG_LIVED, SHORT_LIVED, KafkaServer
from deploy.local.ports import chosen_port
from deploy.local.progress import Report, silent
from deploy.local.record import StackRecord, folder_lock, with_addresses, write_record
from deploy.local.triton import MODEL_REPOSITORY, ModelRepository, TritonPorts, TritonServer
from schemas.settings import Settings
from schemas.tensors import MODELS

ALL_MODELS = tuple(model.name for model in MODELS)


@dataclass(frozen=True)
class Ports:
    """Ports that were asked for; None takes a free one. `kafka_proxies` are those of proxies that lead to the broker."""

    kafka: int | None = None
    triton_http: int | None = None
    triton_grpc: int | None = None
    triton_metrics: int | None = None
    kafka_proxies: tuple[int, ...] = ()

    def triton(self) -> TritonPorts:
        """Triton's ports, each the one asked for or a free one.

        Raises:
            ConfigError: one that was asked for is taken.
        """
        return TritonPorts(
            http=chosen_port(self.triton_http, "--triton-http-port"),
            grpc=chosen_port(self.triton_grpc, "--triton-grpc-port"),
            metrics=chosen_port(self.triton_metrics, "--triton-metrics-port"),
        )


class LocalStack:
    """The servers of a folder that this process owns. `settings` carry their addresses."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        children: Children,
        kafka: KafkaServer | None,
        triton: TritonServer | None,
    ) -> None:
        self.folder = folder
        self._children = children
        self._kafka = kafka
        self._triton = triton
        self._started_at_ms = time.time_ns() // 1_000_000
        self.settings = with_addresses(settings, self.record())

    @property
    def kafka(self) -> KafkaServer:
        """The broker; only where this stack owns one."""
        assert self._kafka is not None, "this stack has no Kafka of its own"
        return self._kafka

    @property
    def triton(self) -> TritonServer:
        """The Triton server; only where this stack owns one."""
        assert self._triton is not None, "this stack has no Triton of its own"
        return self._triton

    @property
    def servers(self) -> list[KafkaServer | TritonServer]:
        """The servers this stack owns."""
        return [server for server in (self._kafka, self._triton) if server is not None]

    def start(self, report: Report = silent) -> None:
        """Start all servers side by side and write the record when all of them are ready.

        Raises:
            ConfigError: one did not come up; the others are stopped by then.
        """
        with ThreadPoolExecutor(max_workers=2) as pool:
            try:
                for start in as_completed([pool.submit(server.start, report) for server in self.servers]):
                    start.result()
            except BaseException:
                self.stop()  # before the pool waits for the starts under way: they fail once their process has ended
                raise
        write_record(self.folder, self.record())

    def stop(self) -> None:
        """Stop all servers, side by side, in good order, and for good."""
        (self.folder / "stack.json").unlink(missing_ok=True)
        self._children.close()

    def record(self) -> StackRecord:
        """The stack as others may know it, now."""
        services = [server.record() for server in self.servers]
        return StackRecord(owner_pid=os.getpid(), started_at_ms=self._started_at_ms, services=services)


@contextmanager
def local_stack(
    folder: Path,
    settings: Settings,
    *,
    kafka: bool = True,
    triton: bool = True,
    models: Sequence[str] = ALL_MODELS,
    repository: Path = MODEL_REPOSITORY,
    ports: Ports = Ports(),
    long_lived: bool = False,
    report: Report = silent,
) -> Iterator[LocalStack]:
    """Own a Kafka broker and a Triton server, ready, with data and logs under `folder`, until the block is left.

    A server whose address is set in `settings` is not started. `long_lived` is for a broker that is warmed up before it
    counts. The servers end with this process, however it ends.

    Raises:
        ConfigError: a stack of this folder runs already, a port is taken, something needed is missing, or a server did not
            come up.
    """
    folder = folder.absolute()
    logs = folder / "logs"
    with folder_lock(folder) as lock_fd:
        children = Children(lock_fd)
        own_kafka = own_triton = None
        if kafka and not settings.kafka.bootstrap_servers:
            port = chosen_port(ports.kafka, "--kafka-port")
            flags = LONG_LIVED if long_lived else SHORT_LIVED
            own_kafka = KafkaServer(folder / "kafka", settings, port, logs / "kafka.log", children, ports.kafka_proxies, flags)
        if triton and not settings.triton.grpc_address:
            own = ModelRepository(repository, models)
            own_triton = TritonServer(folder / "triton", settings, ports.triton(), own, logs / "triton.log", children)
        stack = LocalStack(folder, settings, children, own_kafka, own_triton)
        try:
            stack.start(report)
            yield stack
        finally:
            stack.stop()
