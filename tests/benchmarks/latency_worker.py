"""One worker of `make bench-latency`: `python -m tests.benchmarks.latency_worker VARIANT`, until SIGTERM.

Settings come from the environment, as everywhere.
"""

import logging
import signal
import sys
import threading

from confluent_kafka import Consumer, TopicPartition

from consumers.runtime import clients
from consumers.runtime.worker import Worker
from schemas.settings import Settings, load_settings
from tests.benchmarks.latency_fold import LatencyFold, Variant
from tests.benchmarks.tag_fold import decode_event

POLL_S = 0.1


def run_bare(settings: Settings, stop: threading.Event) -> None:
    """Pass each message on, in transactions: what Kafka and its client cost by themselves, set up as the runtime's are.

    The offsets are added first, as the runtime does, since the order alone saves milliseconds. A failure ends the process.
    """
    kafka, runtime = settings.kafka, settings.runtime
    variant = Variant.BARE
    consumer = clients.input_consumer(kafka, f"latency-{variant}", runtime.replica)
    producer = clients.transactional_producer(kafka, f"latency-{variant}", runtime.replica, runtime.transaction_timeout_ms)
    consumer.subscribe([variant.events.name], on_assign=from_the_beginning)
    producer.init_transactions()
    while not stop.is_set():
        messages = consumer.consume(1, POLL_S)
        messages += consumer.consume(runtime.max_batch - 1, 0) if messages else []
        records = [message for message in messages if message.error() is None]  # the others tell where a partition ends
        if not records:
            continue
        ends = {record.partition(): record.offset() + 1 for record in records}  # type: ignore[operator]  # no error, so known
        offsets = [TopicPartition(variant.events.name, part, end) for part, end in ends.items()]  # type: ignore[arg-type]
        producer.begin_transaction()
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        for record in records:
            producer.produce(variant.answers.name, record.value(), record.key())
        producer.commit_transaction()
    consumer.close()


def from_the_beginning(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """The runtime's consumer never chooses a place by itself; the bare loop is new to its topic, so it starts at 0."""
    consumer.incremental_assign([TopicPartition(part.topic, part.partition, 0) for part in partitions])


def main(variant: Variant) -> None:
    """Work until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load_settings()
    if variant is Variant.BARE:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        run_bare(settings, stop)
    else:
        worker = Worker(LatencyFold(variant, settings.triton.grpc_address), settings, decode_event)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run()


if __name__ == "__main__":
    main(Variant(sys.argv[1]))
