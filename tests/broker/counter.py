"""A small real role for tests of the runtime: counts each user's events and says the count."""

import json

from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey
from schemas.errors import Retryable
from schemas.messages import BehaviorEvent, Cause, Recommendations
from schemas.topics import BEHAVIOR_EVENTS, RECOMMENDATIONS, USER_ATTRIBUTES, USER_STATE


class EventCounter:
    """State: event ids by user, as JSON. Output: a list without items whose state_version is the number of events."""

    name = "counter"
    inputs = (BEHAVIOR_EVENTS, USER_ATTRIBUTES)
    tables = ()
    changelog = USER_STATE

    def __init__(self) -> None:
        self.failures_left = 0
        self.processed = 0

    def startup(self) -> None: ...

    def on_table_record(self, record: Record) -> None: ...

    def on_committed(self) -> None: ...

    def on_revoked(self, partitions: frozenset[int]) -> None: ...

    def process(self, batch: Batch) -> Outputs:
        if batch.records and self.failures_left:
            self.failures_left -= 1
            raise Retryable("the test says so")
        outputs = Outputs()
        seen: dict[StateKey, list[str]] = {}
        self.processed += len(batch.records)
        for record in batch.records:
            if isinstance(record.message, BehaviorEvent):
                key = (record.partition, record.key)
                if key not in seen:
                    stored = batch.load(record.partition, [record.key]).get(record.key)
                    seen[key] = json.loads(stored) if stored else []
                seen[key].append(record.message.event_id)
        for (partition, user_id), event_ids in seen.items():
            outputs.states[partition, user_id] = json.dumps(event_ids).encode()
            outputs.records.append(Output(RECOMMENDATIONS, user_id, _count(user_id, len(event_ids))))
        return outputs


def _count(user_id: str, events: int) -> Recommendations:
    cause = Cause(topic="", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
    return Recommendations(
        user_id=user_id, items=[], state_version=events, model_name="", model_version="", catalog_size=0,
        generated_at_ms=0, cause=cause,
    )  # fmt: skip
