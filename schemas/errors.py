"""The error tree.

    PortraitError
    ├── ConfigError         a setting, file, server or model is missing or wrong: start-up stops with one sentence
    ├── BadMessage          this message can never be processed: it goes to dead-letters with its bytes and the reason
    ├── Retryable           the same call may succeed later (a server is slow, down or overloaded)
    ├── ProducerLost        the transactional producer can commit no more: take a new one, and go on from what is committed
    ├── TaskMigrated        this worker is no member of its group any more: drop everything and join again
    └── TaskCorrupted       a partition's store cannot be trusted: wipe it and restore from the changelog

The worker's loop acts on these types alone. A message says what failed, where (topic-partition@offset), the likely cause and
what to do about it.
"""


class PortraitError(Exception):
    """Any error Portrait raises on purpose."""


class ConfigError(PortraitError):
    """A setting, file, server or model is missing or wrong; the message says what to do."""


class BadMessage(PortraitError):
    """A message that can never be processed.

    `reason` is a short stable code (`not_json`, `key_mismatch`, …) used as a metric label and in dead-letters.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Retryable(PortraitError):
    """The same call may succeed later; nothing was committed. `retry_in_s` says when, where that is known."""

    def __init__(self, detail: str, retry_in_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_in_s = retry_in_s


class ProducerLost(PortraitError):
    """The transactional producer was fenced, timed out, or does not know how its commit ended; it must not be used again."""


class TaskMigrated(PortraitError):
    """Other workers may own this worker's partitions now; its uncommitted work must be dropped."""


class TaskCorrupted(PortraitError):
    """The local store of a partition disagrees with the changelog or the committed offsets."""

    def __init__(self, partition: int, detail: str) -> None:
        super().__init__(f"store of partition {partition}: {detail}; it will be wiped and restored from the changelog")
        self.partition = partition
        self.detail = detail
