"""A data folder as messages: items, what users declared, and events in the order of time."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from producers.convert import PLACEHOLDER, Cells, converted, event_converter, item_converter, user_converter
from producers.layout import DataFile, find_file, require_file
from producers.mappings import Mapping, event_id_prefix, find_mapping
from producers.row_readers import BadRow
from producers.sequences import DOMAIN, is_sequence_file
from schemas.errors import ConfigError
from schemas.messages import BehaviorEvent, Item, UserAttributes

BAD_ROWS_KEPT = 20


@dataclass
class BadRows:
    """Counts rows that cannot be used and keeps the first few; a row met twice, in two passes, counts once."""

    first: list[BadRow] = field(default_factory=list)
    _seen: set[tuple[Path, int]] = field(default_factory=set)

    def __call__(self, row: BadRow) -> None:
        """Note a row."""
        if (row.file, row.line) in self._seen:
            return
        self._seen.add((row.file, row.line))
        if len(self.first) < BAD_ROWS_KEPT:
            self.first.append(row)

    def __len__(self) -> int:
        return len(self._seen)


@dataclass(frozen=True)
class EventTimes:
    """What a first pass over the events file found out."""

    count: int
    first_ms: int
    last_ms: int
    in_order: bool
    user_ids: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """A data folder, opened. Rows that cannot be used are noted in `bad_rows` and left out."""

    folder: Path
    mapping: Mapping
    mapping_source: str
    events_file: DataFile
    items_file: DataFile | None
    users_file: DataFile | None
    bad_rows: BadRows = field(default_factory=BadRows)

    @cached_property
    def times(self) -> EventTimes:
        """Count, span and order of the events: one pass over the whole file.

        Raises:
            ConfigError: no event in it can be used.
        """
        times, users = array("q"), dict[str, None]()
        cells, columns = Cells(self.mapping), self.mapping.events
        for line, row in self.events_file.rows(self.bad_rows):
            try:
                times.append(cells.needed_time_ms(row, columns.time, columns.time_unit))
                users[cells.needed(row, columns.user_id)] = None
            except (ValueError, OverflowError) as error:
                self.bad_rows(BadRow(self.events_file.path, line, str(error)))
        if not times:
            reason = f": {self.bad_rows.first[0]}" if self.bad_rows.first else ""
            raise ConfigError(f"{self.events_file.path} holds no event that can be used{reason}")
        in_order = all(times[i] <= times[i + 1] for i in range(len(times) - 1))
        return EventTimes(len(times), min(times), max(times), in_order, tuple(users))

    @property
    def has_times(self) -> bool:
        """Whether events say when they happened: plain sequences do not."""
        return not is_sequence_file(self.events_file.path)

    def items(self) -> Iterator[Item]:
        """The catalogue, in the order of its file."""
        if self.items_file is not None:
            yield from converted(self.items_file, item_converter(self.mapping), self.bad_rows)

    def attributes(self, first_ms: int | None = None) -> Iterator[UserAttributes]:
        """What users declared; without those who declared nothing.

        Where the data does not say when: at `first_ms`, by default that of the first event, which takes a pass over the file.
        """
        if self.users_file is None:
            return
        for declared in converted(
            self.users_file, user_converter(self.mapping, self.times.first_ms if first_ms is None else first_ms), self.bad_rows
        ):
            if declared.model_dump(exclude={"user_id", "updated_at_ms"}, exclude_defaults=True):
                yield declared

    def user_ids(self) -> tuple[str, ...]:
        """Every user of the events and of the users file, each once."""
        users = dict.fromkeys(self.times.user_ids)
        if self.users_file is not None:
            cells, column = Cells(self.mapping), self.mapping.users.user_id
            for _, row in self.users_file.rows(self.bad_rows):
                if user_id := cells.text(row, column):
                    users[user_id] = None
        return tuple(users)

    def events(self) -> Iterator[BehaviorEvent]:
        """Every event in the order of time, those of one moment in the order of the file.

        A file that is in order is streamed; any other is sorted in memory, about 1 kB an event.
        """
        if self.times.in_order:
            return self.events_as_filed()
        return iter(sorted(self.events_as_filed(), key=lambda event: event.event_time_ms))

    def events_as_filed(self) -> Iterator[BehaviorEvent]:
        """Every event in the order of the file, streamed."""
        convert = event_converter(self.mapping, event_id_prefix(self.mapping, self.folder), self.events_file.columns)
        return converted(self.events_file, convert, self.bad_rows)


def open_dataset(folder: Path, mapping: str | None = None) -> Dataset:
    """Open a data folder with a mapping: a ready one's name, a file, or by default the one `find_mapping` finds.

    Raises:
        ConfigError: a file or a column is missing, or the mapping is wrong; the message says what is expected.
    """
    events_file = require_file(folder, "events")
    chosen, source = find_mapping(folder, mapping)
    items_file, users_file = find_file(folder, "items"), find_file(folder, "users")
    if "items" in chosen.model_fields_set and items_file is None:
        items_file = require_file(folder, "items")
    if "users" in chosen.model_fields_set and users_file is None:
        users_file = require_file(folder, "users")
    if is_sequence_file(events_file.path) and chosen.domain is None:
        chosen = chosen.model_copy(update={"domain": DOMAIN})
    _require_columns(events_file, items_file, users_file, chosen)
    return Dataset(folder, chosen, source, events_file, items_file, users_file)


ALWAYS_NEEDED = {"events": {"user_id", "time", "type"}, "items": {"item_id", "title"}, "users": {"user_id"}}


def _require_columns(events: DataFile, items: DataFile | None, users: DataFile | None, mapping: Mapping) -> None:
    for kind, file in (("events", events), ("items", items), ("users", users)):
        if file is not None:
            section = getattr(mapping, kind)
            wanted = (ALWAYS_NEEDED[kind] | section.model_fields_set) - NOT_COLUMNS
            if kind == "events" and mapping.events.constant_type is not None:
                wanted.discard("type")
            for use in sorted(wanted):
                for column in _columns_of(getattr(section, use)):
                    file.require(column, f"{kind}.{use}")
    if items is not None and items.columns is not None and mapping.domain is None:
        items.require(mapping.items.domain, "items.domain (or a `domain` for all of them in the mapping)")


NOT_COLUMNS = {
    "time_unit", "constant_type", "types", "event_id_prefix",
    "title_case", "title_article_last", "tag_separator", "time_format",
}  # fmt: skip


def _columns_of(value: str | list[str]) -> list[str]:
    parts = [value] if isinstance(value, str) else value
    return [column for part in parts for column in (PLACEHOLDER.findall(part) if "{" in part else [part])]
