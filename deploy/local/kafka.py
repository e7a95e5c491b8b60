"""An Apache Kafka broker of our own: KRaft, one process, data in the project folder."""

import base64
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local.child import Child, Children
from deploy.local.jars import INSTALL_JAVA, JAVA_MIN, fetch_jars, jars_folder, java_path, java_version
from deploy.local.ports import free_port
from deploy.local.progress import Report, silent
from deploy.local.record import ServiceRecord
from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.topics import MAX_MESSAGE_BYTES

READY_TIMEOUT_S = 90.0
FORMAT_TIMEOUT_S = 60.0
JVM_FLAGS = ("-Xmx512m", "-XX:TieredStopAtLevel=1")
"""The second compiler would take twice the CPU in the first minute of a small machine, for a broker no faster after it."""
LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""


class KafkaServer:
    """A broker on fixed ports with its data in `folder`; it can be stopped and started again and keeps both."""

    name = "kafka"

    def __init__(self, folder: Path, settings: Settings, port: int, log: Path, children: Children) -> None:
        self.folder = folder.absolute()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.log = log
        self.child: Child | None = None
        self._settings = settings
        self._port = port
        self._controller_port = free_port()
        self._children = children

    def start(self, report: Report = silent) -> None:
        """Start the broker and return when it answers an admin request.

        Raises:
            ConfigError: Java or the jars cannot be had, or the broker did not come up; the message has its last log lines.
        """
        java = java_path()
        if (version := java_version(java)) < JAVA_MIN:
            raise ConfigError(f"{java} is Java {version}, and Kafka needs {JAVA_MIN}: {INSTALL_JAVA}")
        if not jars_folder(self._settings).exists():
            report(self.name, "downloading Kafka (once, 43 MB)")
        jars = fetch_jars(self._settings, self._children, self.log.with_name("maven.log"))
        run = [java, *JVM_FLAGS, f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        self._configure()
        if not (self.folder / "data" / "meta.properties").exists():
            report(self.name, "formatting its data folder")
            self._format(run)
        report(self.name, "starting the broker")
        self.child = self._children.start([*run, "kafka.Kafka", str(self._properties)], os.environ, self.log)
        self._wait_ready(self.child)
        report(self.name, f"ready on {self.bootstrap_servers}")

    def stop(self) -> None:
        """Shut the broker down in good order."""
        if self.child is not None:
            self.child.stop()

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self.child is not None:
            self.child.kill()

    def record(self) -> ServiceRecord:
        """The broker as others may know it."""
        return ServiceRecord(
            name=self.name,
            addresses={"bootstrap": self.bootstrap_servers},
            pid=self.child and self.child.pid,
            log=self.log,
            ended=self.child and self.child.returncode,
        )

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J)
        lines = broker_properties(self.folder / "data", self._port, self._controller_port)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def _format(self, run: list[str]) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [
            *run,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster_id}",
            "-c",
            str(self._properties),
        ]  # an id may begin with "-"
        formatting = self._children.start(command, os.environ, self.log)
        if formatting.wait(FORMAT_TIMEOUT_S) != 0:
            formatting.stop()
            data = self.folder / "data"
            raise ConfigError(f"formatting {data} for Kafka failed; {self.log} ends:\n{formatting.last_lines()}")

    def _wait_ready(self, child: Child) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0, "reconnect.backoff.max.ms": 200})
        while not answers(admin, timeout_s=1.0):
            if child.returncode is not None:
                raise ConfigError(
                    f"Kafka ended with status {child.returncode} while starting; {self.log} ends:\n{child.last_lines()}"
                )
            if time.monotonic() > deadline:
                child.stop()
                raise ConfigError(f"Kafka was not ready after {READY_TIMEOUT_S:.0f} s; {self.log} ends:\n{child.last_lines()}")


def answers(admin: AdminClient, timeout_s: float) -> bool:
    """Whether a broker answers a real request."""
    try:
        return bool(admin.describe_cluster(request_timeout=timeout_s).result(timeout_s + 1).nodes)
    except (KafkaException, TimeoutError):
        return False


def broker_properties(data: Path, port: int, controller_port: int) -> Mapping[str, str | int]:
    """server.properties of a single broker for development: everything replicated once, nothing made by accident."""
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "replica.fetch.max.bytes": 2 * MAX_MESSAGE_BYTES,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        # a broker that was killed may register again only after its old session
        "broker.heartbeat.interval.ms": 1000,
        "broker.session.timeout.ms": 4000,
        # a worker that died is noticed within seconds, and tests may ask for less
        "group.min.session.timeout.ms": 1000,
        "group.consumer.min.session.timeout.ms": 1000,
        "group.consumer.session.timeout.ms": 10_000,
        "group.consumer.min.heartbeat.interval.ms": 200,
        "group.consumer.heartbeat.interval.ms": 1000,
        # so that an open transaction of a dead writer is ended soon after its own timeout
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "log.segment.bytes": 64 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
    }
