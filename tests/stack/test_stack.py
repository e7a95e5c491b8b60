"""The stack as a block in this process: servers stop, die and come back on the same ports and data."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from deploy.local import triton_http
from deploy.local.ports import free_port
from deploy.local.reach import require_kafka, require_triton
from deploy.local.record import running_stack
from deploy.local.stack import LocalStack, Ports, local_stack
from schemas.errors import ConfigError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings, TritonSettings
from tests.stack.process_table import MODELS, assert_no_process, await_true, pids_of, shared_memory_of

STUB = "triton_python_backend_stub"


@pytest.fixture(scope="module")
def own(needs_java: None, needs_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("own")
    settings = Settings(runtime=RuntimeSettings(folder=folder))
    with local_stack(folder / "stack", settings, models=("echo",), repository=MODELS) as stack:
        yield stack
    assert_no_process(folder, 0)
    assert not (folder / "stack" / "stack.json").exists()


def test_both_answer_and_others_find_them(own: LocalStack) -> None:
    require_kafka(own.settings)
    require_triton(own.settings, ("echo",))
    assert running_stack(Settings(runtime=own.settings.runtime)) == own.settings


def test_second_stack_in_the_same_folder_is_refused(own: LocalStack) -> None:
    with pytest.raises(ConfigError, match="already running"), local_stack(own.folder, own.settings):
        pass


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_kafka_comes_back_with_its_data_on_its_port(own: LocalStack, end: str) -> None:
    topic = f"kept-{end}"
    config = own.settings.kafka.client_config()
    admin = AdminClient({**config})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    producer = Producer(config)
    producer.produce(topic, b"still here")
    assert producer.flush(10) == 0

    getattr(own.kafka, end)()
    assert own.kafka.record().ended is not None
    own.kafka.start()
    assert own.kafka.record().ended is None

    consumer = Consumer({**config, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(15)
    assert message is not None and message.value() == b"still here"
    consumer.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_triton_comes_back_on_its_ports(own: LocalStack, end: str) -> None:
    getattr(own.triton, end)()
    assert not pids_of(own.folder, "bin/tritonserver") and not pids_of(own.folder, STUB)
    assert not shared_memory_of(os.getpid())
    with pytest.raises(ConfigError, match="does not answer"):
        require_triton(own.settings, ("echo",), timeout_s=1)
    own.triton.start()
    require_triton(own.settings, ("echo",))


def test_model_changes_without_a_restart(own: LocalStack) -> None:
    before = pids_of(own.folder, "bin/tritonserver")
    triton_http.unload_model(own.triton.http_address, "echo", 30)
    with pytest.raises(ConfigError, match="its models echo are not ready"):
        require_triton(own.settings, ("echo",))
    triton_http.load_model(own.triton.http_address, "echo", 30)
    require_triton(own.settings, ("echo",))
    assert pids_of(own.folder, "bin/tritonserver") == before


def test_guard_killed_takes_its_server_along(own: LocalStack) -> None:
    assert own.triton.child is not None
    guard = psutil.Process(own.triton.child.pid).parent()
    assert guard is not None and "guard.py" in " ".join(guard.cmdline())
    guard.send_signal(signal.SIGKILL)
    assert await_true(lambda: not pids_of(own.folder, "bin/tritonserver") and not pids_of(own.folder, STUB))
    own.triton.start()


def test_taken_port_is_named_with_its_holder(own: LocalStack, tmp_path: Path) -> None:
    port = int(own.triton.grpc_address.rpartition(":")[2])
    with (
        pytest.raises(ConfigError, match=rf"port {port} \(--triton-grpc-port\) is taken by tritonserver \(pid \d+\)"),
        local_stack(tmp_path, Settings(), ports=Ports(triton_grpc=port)),
    ):
        pass


def test_broken_model_is_named_and_nothing_is_left(needs_triton: None, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"could not load model broken: .*no weights here"),
        local_stack(tmp_path, Settings(), kafka=False, models=("echo", "broken"), repository=MODELS),
    ):
        pass
    assert_no_process(tmp_path, 0)


def test_given_servers_are_used_and_none_is_started(own: LocalStack, tmp_path: Path) -> None:
    with local_stack(tmp_path, own.settings) as stack:
        assert stack.servers == []
        assert stack.settings == own.settings
        assert not pids_of(tmp_path, "")


def test_servers_that_do_not_answer_are_named() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"Kafka at {nowhere} did not answer"):
        require_kafka(Settings(kafka=KafkaSettings(bootstrap_servers=nowhere)), timeout_s=1)
    with pytest.raises(ConfigError, match=f"Triton at {nowhere} does not answer"):
        require_triton(Settings(triton=TritonSettings(grpc_address=nowhere)))
