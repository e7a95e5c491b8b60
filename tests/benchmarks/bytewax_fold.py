"""The fold of tag_fold.py in Bytewax, at least once: run with the Python of an environment that holds bytewax.

`python bytewax_fold.py BROKER STATE_FOLDER SNAPSHOT_INTERVAL_S`; ends when it has read every event that is there. Bytewax has
no transactions: states and input offsets are kept in its recovery store, and after a crash some summaries are published again.
"""

import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

HISTORY_LENGTH = 50
BATCH = 10_000
"""Events a read may give: its sink waits for the broker after each batch, so small ones would hold it up."""


class TagFold(StatefulBatchLogic):
    """The state of one user; gives one summary for each batch of the user's events, as Portrait does."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._known = orjson.loads(snapshot) if snapshot else {"count": 0, "events": [], "tags": {}}

    def on_batch(self, values: list[dict]) -> tuple[list[dict], bool]:
        """Take the user's next events into the state."""
        known = self._known
        events, tags = known["events"], known["tags"]
        for event in values:
            events.append((event["event_id"], event["item_id"], event["weight"]))
            for tag in event["tags"]:
                tags[tag] = tags.get(tag, 0.0) + event["weight"]
        known["count"] += len(values)
        del events[:-HISTORY_LENGTH]
        _, strongest = max(zip(tags.values(), tags, strict=True))
        return [{"count": known["count"], "event_id": events[-1][0], "tag": strongest}], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The state as JSON."""
        return orjson.dumps(self._known)


def read(message: KafkaSourceMessage) -> tuple[str, dict]:
    """User and event."""
    return message.key.decode(), orjson.loads(message.value)


def written(pair: tuple[str, dict]) -> KafkaSinkMessage:
    """A user's summary as a message."""
    return KafkaSinkMessage(pair[0].encode(), orjson.dumps(pair[1]))


def dataflow(broker: str) -> Dataflow:
    """Events to summaries."""
    flow = Dataflow("bytewax_fold")
    source = KafkaSource([broker], ["fold-events"], tail=False, batch_size=BATCH)
    events = op.map("read", op.input("events", flow, source), read)
    summaries = op.stateful_batch("fold", events, TagFold)
    op.output("summaries", op.map("write", summaries, written), KafkaSink([broker], "bytewax-summaries"))
    return flow


def main(broker: str, state_folder: str, snapshot_interval_s: float) -> None:
    """Run until all is read."""
    folder = Path(state_folder)
    folder.mkdir()
    init_db_dir(folder, 1)
    recovery = RecoveryConfig(folder, backup_interval=timedelta(0))
    cli_main(dataflow(broker), epoch_interval=timedelta(seconds=snapshot_interval_s), recovery_config=recovery)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
