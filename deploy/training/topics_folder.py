"""What is in the topics, as a data folder in Parquet: what `portrait train` learns from, and can be given again."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from deploy.reading import decoded, read_all
from schemas.errors import BadMessage, ConfigError
from schemas.messages import BehaviorEvent, ConsentControl, EraseControl, Item, UserAttributes, UserProfile
from schemas.settings import Settings
from schemas.topics import BEHAVIOR_EVENTS, ITEMS, USER_ATTRIBUTES, USER_CONTROLS, Topic

EVENT_COLUMNS = ("user_id", "item_id", "event_time_ms", "type", "event_id", "value", "surface", "session_id", "domain")
ITEM_COLUMNS = (
    "item_id", "title", "description", "tags", "language", "domain",
    "published_at_ms", "available_from_ms", "available_until_ms",
)  # fmt: skip
USER_COLUMNS = ("user_id", "age", "gender", "location", "occupation", "language", "tags", "free_text", "updated_at_ms")
TAG_SEPARATOR = "|"
ROWS_AT_ONCE = 50_000


def write_topics(settings: Settings, folder: Path) -> Path:
    """Write events, items and users that may be learned from into `folder`, in place of what was there.

    Raises:
        ConfigError: there is no Kafka, a topic is missing, or pyarrow is.
    """
    hidden = Hidden.of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for name, topic, columns in (
        ("events", BEHAVIOR_EVENTS, EVENT_COLUMNS),
        ("items", ITEMS, ITEM_COLUMNS),
        ("users", USER_ATTRIBUTES, USER_COLUMNS),
    ):
        messages = newest(settings, topic, hidden) if topic is not BEHAVIOR_EVENTS else events(settings, hidden)
        rows = (row_of(message, columns) for message in messages if not hidden.covers(message))
        write_parquet(folder / f"{name}.parquet", rows)
    return folder


class Hidden:
    """Users who may not be learned from: erased, until what they did after it, or without consent to recommendations."""

    def __init__(self, erased_at_ms: Mapping[str, int], granted: Mapping[str, bool], default: bool) -> None:
        self._erased_at_ms, self._granted, self._default = erased_at_ms, granted, default

    @classmethod
    def of(cls, settings: Settings) -> "Hidden":
        """As the controls in the topic say; the newest word counts."""
        erased: dict[str, int] = {}
        granted: dict[str, bool] = {}
        for message, time_ms in messages_of(settings, USER_CONTROLS):
            if isinstance(message, EraseControl):
                erased[message.user_id] = time_ms
                granted.pop(message.user_id, None)
            elif isinstance(message, ConsentControl) and message.purpose == "recommendations":
                granted[message.user_id] = message.granted
        return cls(erased, granted, "recommendations" in settings.fold.default_consent)

    def covers(self, message: BaseModel) -> bool:
        """Whether nothing of the user whose message this is may be learned from; an item is nobody's."""
        user_id = getattr(message, "user_id", None)
        return user_id is not None and not self._granted.get(user_id, self._default)

    def erased_after(self, user_id: str, time_ms: int) -> bool:
        """Whether the user asked to be forgotten after this moment, by the broker's clock."""
        return self._erased_at_ms.get(user_id, -1) >= time_ms


def messages_of(settings: Settings, topic: Topic) -> Iterator[tuple[BaseModel, int]]:
    """Every message that can be read, and when the broker took it."""
    for record in read_all(settings.kafka, [topic]):
        try:
            _, message = decoded(record, settings.fold)
        except BadMessage:
            continue  # a worker sends it to dead-letters
        if message is not None:
            yield message, record.timestamp_ms


def events(settings: Settings, hidden: Hidden) -> Iterator[BehaviorEvent]:
    """Events of users who were not erased later."""
    for message, time_ms in messages_of(settings, BEHAVIOR_EVENTS):
        if isinstance(message, BehaviorEvent) and not hidden.erased_after(message.user_id, time_ms):
            yield message


def newest(settings: Settings, topic: Topic, hidden: Hidden) -> list[BaseModel]:
    """The newest message of each key of a compacted topic; none of a key whose newest is a tombstone, or was erased later."""
    found: dict[bytes | None, BaseModel | None] = {}
    for record in read_all(settings.kafka, [topic]):
        try:
            key, message = decoded(record, settings.fold)
        except BadMessage:
            continue
        forgotten = isinstance(message, UserAttributes | UserProfile) and hidden.erased_after(key, record.timestamp_ms)
        found[record.key] = None if forgotten else message
    return [message for message in found.values() if isinstance(message, Item | UserAttributes | UserProfile)]


def row_of(message: BaseModel, columns: Iterable[str]) -> dict[str, Any]:
    """The message's columns; tags as one text."""
    row = message.model_dump(mode="json", include=set(columns))
    if "tags" in row:
        row["tags"] = TAG_SEPARATOR.join(row["tags"])
    return row


def write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows, a part at a time; a file without rows has no columns and is left out."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigError("the topics are kept as Parquet: install the `data` extra, or give a folder with --data") from None
    path.unlink(missing_ok=True)
    writer: Any = None
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        table = arrow.Table.from_pylist(chunk, schema=_schema(arrow, chunk[0]))
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _schema(arrow: Any, row: Mapping[str, Any]) -> Any:
    def kind(name: str) -> Any:
        return arrow.int64() if name == "age" or name.endswith("_ms") else arrow.string()

    return arrow.schema([(name, arrow.float64() if name == "value" else kind(name)) for name in row])
