"""The profiler's fold under the real worker, without lists and models: what the state commands need of a profiler."""

from consumers.overlay import fold_batch
from consumers.runtime.processor import Batch, Outputs, Record
from schemas.settings import FoldSettings
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES, USER_STATE


class Folder:
    """A Processor whose states are the profiler's."""

    name = "profiler"
    inputs = (BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES)
    tables = ()
    changelog = USER_STATE

    def startup(self) -> None: ...

    def on_table_record(self, record: Record) -> None: ...

    def on_committed(self) -> None: ...

    def on_revoked(self, partitions: frozenset[int]) -> None: ...

    def process(self, batch: Batch) -> Outputs:
        outputs = Outputs()
        for user in fold_batch(batch, FoldSettings(), {}):
            if user.changed:
                outputs.states[user.key] = user.stored()
        return outputs
