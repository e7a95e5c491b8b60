"""An Apache Kafka of our own: KRaft, one controller and one broker, data in the project folder.

They are two processes, so that the controller outlives the broker. In one process, a broker that starts again first acts on
what the metadata says of its last life, and leads partitions that it is then fenced from. Kafka 4.3 takes a partition without
a leader for a deleted one, and a transaction whose end falls into that moment keeps its records open for ever.
"""

import base64
import os
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
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
SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)
"""The second compiler takes twice the CPU in a broker's first minutes, longer than tests and demo last."""
LONG_LIVED = ("-XX:+UseParallelGC",)
"""For a broker that is warmed up before it counts, as one in production is: both compilers, and of the collectors the one with
the shortest pauses at this heap."""
BROKER_HEAP = "-Xmx512m"
CONTROLLER_HEAP = "-Xmx128m"
CONTROLLER_ID, BROKER_ID = 1, 2
SESSION_S = 3.0
"""The controller fences a broker that has been silent for so long; until then a new one must not act on old metadata."""
LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""


class KafkaServer:
    """A broker on fixed ports with its data in `folder`; it can be stopped and started again and keeps both.

    For each of `proxy_ports` it listens on a port of its own, in `behind_proxy`; clients that come in there are told to go on
    through the proxy.
    """

    name = "kafka"

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        port: int,
        log: Path,
        children: Children,
        proxy_ports: Sequence[int] = (),
        jvm_flags: Sequence[str] = SHORT_LIVED,
    ) -> None:
        self.folder = folder.absolute()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.log = log
        self.child: Child | None = None
        self._settings = settings
        self._port = port
        self.behind_proxy = {proxy_port: free_port() for proxy_port in proxy_ports}
        self._jvm_flags = jvm_flags
        self._controller_port = free_port()
        self._controller: Child | None = None
        self._children = children
        self._silent_since_s: float | None = None

    def start(self, report: Report = silent) -> None:
        """Start the broker, and the controller unless it runs, and return when the broker answers an admin request.

        Raises:
            ConfigError: Java or the jars cannot be had, or the broker did not come up; the message has its last log lines.
        """
        java = java_path()
        if (version := java_version(java)) < JAVA_MIN:
            raise ConfigError(f"{java} is Java {version}, and Kafka needs {JAVA_MIN}: {INSTALL_JAVA}")
        if not jars_folder(self._settings).exists():
            report(self.name, "downloading Kafka (once, 43 MB)")
        jars = fetch_jars(self._settings, self._children, self.log.with_name("maven.log"))
        run = [java, *self._jvm_flags, f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}", "-cp", f"{jars}/*"]
        self._configure()
        if not all((data / "meta.properties").exists() for data in (self._data("controller"), self._data("broker"))):
            report(self.name, "formatting its data folders")
            self._format(run)
        elif self._controller is None:
            self._silent_since_s = time.monotonic()
        if self._controller is None or self._controller.returncode is not None:
            report(self.name, "starting the controller")
            log = self.log.with_name("kafka-controller.log")
            command = [*run, CONTROLLER_HEAP, "kafka.Kafka", str(self._properties("controller"))]
            self._controller = self._children.start(command, os.environ, log)
            if self._silent_since_s is not None:  # it gives the old broker a session from its own start on
                self._await_controller(self._controller)
                self._silent_since_s = time.monotonic()
        if self._silent_since_s is not None:
            report(self.name, "waiting until the controller has noticed that the broker was gone")
            time.sleep(max(0.0, self._silent_since_s + SESSION_S - time.monotonic()))
        report(self.name, "starting the broker")
        command = [*run, BROKER_HEAP, "kafka.Kafka", str(self._properties("broker"))]
        self.child = self._children.start(command, os.environ, self.log)
        self._wait_ready(self.child)
        report(self.name, f"ready on {self.bootstrap_servers}")

    def stop(self) -> None:
        """Shut the broker down in good order; the controller goes on."""
        if self.child is not None:
            self.child.stop()
            self._silent_since_s = time.monotonic()

    def kill(self) -> None:
        """kill -9 of the broker, as a crash would."""
        if self.child is not None:
            self.child.kill()
            self._silent_since_s = time.monotonic()

    def record(self) -> ServiceRecord:
        """The broker as others may know it."""
        return ServiceRecord(
            name=self.name,
            addresses={"bootstrap": self.bootstrap_servers},
            pid=self.child and self.child.pid,
            log=self.log,
            ended=self.child and self.child.returncode,
        )

    def _data(self, role: str) -> Path:
        return self.folder / "data" / role

    def _properties(self, role: str) -> Path:
        return self.folder / f"{role}.properties"

    def _configure(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J)
        roles = {
            "controller": controller_properties(self._data("controller"), self._controller_port),
            "broker": broker_properties(self._data("broker"), self._port, self._controller_port)
            | proxied_listeners(self._port, self.behind_proxy),
        }
        for role, lines in roles.items():
            self._properties(role).write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def _format(self, run: list[str]) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")  # it may begin with "-"
        formatting = []
        for role in ("controller", "broker"):
            command = [
                *run,
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster_id}",
                "-c",
                str(self._properties(role)),
            ]
            formatting.append((self._data(role), self._children.start(command, os.environ, self.log)))
        for data, child in formatting:
            if child.wait(FORMAT_TIMEOUT_S) != 0:
                child.stop()
                raise ConfigError(f"formatting {data} for Kafka failed; {self.log} ends:\n{child.last_lines()}")

    def _await_controller(self, child: Child) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not listens(self._controller_port):
            if child.returncode is not None or time.monotonic() > deadline:
                raise ConfigError(f"Kafka's controller did not start; {child.log} ends:\n{child.last_lines()}")
            time.sleep(0.05)

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


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this port of ours."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(admin: AdminClient, timeout_s: float) -> bool:
    """Whether a broker answers a real request."""
    try:
        return bool(admin.describe_cluster(request_timeout=timeout_s).result(timeout_s + 1).nodes)
    except (KafkaException, TimeoutError):
        return False


def _node_properties(role: str, node_id: int, data: Path, controller_port: int) -> dict[str, str | int]:
    """What the controller and the broker must agree on."""
    return {
        "process.roles": role,
        "node.id": node_id,
        "controller.quorum.voters": f"{CONTROLLER_ID}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "broker.session.timeout.ms": int(SESSION_S * 1000) - 500,  # fenced by then, with room for the controller's own pace
        "broker.heartbeat.interval.ms": 500,
    }


def controller_properties(data: Path, port: int) -> Mapping[str, str | int]:
    """Of the controller: it keeps the metadata and no messages."""
    return {**_node_properties("controller", CONTROLLER_ID, data, port), "listeners": f"CONTROLLER://127.0.0.1:{port}"}


def proxied_listeners(port: int, behind_proxy: Mapping[int, int]) -> dict[str, str | int]:
    """One more listener for each proxy, which its clients are led back through; nothing without proxies."""
    if not behind_proxy:
        return {}
    names = [f"PROXIED{number}" for number in range(len(behind_proxy))]
    listeners = [f"{name}://127.0.0.1:{own}" for name, own in zip(names, behind_proxy.values(), strict=True)]
    advertised = [f"{name}://127.0.0.1:{proxy}" for name, proxy in zip(names, behind_proxy, strict=True)]
    return {
        "listeners": ",".join([f"PLAINTEXT://127.0.0.1:{port}", *listeners]),
        "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{port}", *advertised]),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names)),
    }


def broker_properties(data: Path, port: int, controller_port: int) -> dict[str, str | int]:
    """Of a single broker for development: everything replicated once, nothing made by accident."""
    return {
        **_node_properties("broker", BROKER_ID, data, controller_port),
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "inter.broker.listener.name": "PLAINTEXT",
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
        # Leadership is not given away on shutdown: nobody could take it, and transactions would end while it is nowhere.
        "controlled.shutdown.enable": "false",
        # a worker that died is noticed within seconds, and tests may ask for less
        "group.min.session.timeout.ms": 1000,
        "group.consumer.min.session.timeout.ms": 1000,
        "group.consumer.session.timeout.ms": 6000,
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
