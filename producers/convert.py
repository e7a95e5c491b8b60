"""From the rows of a data file to our messages, by a mapping. Every function raises ValueError for a row it cannot use."""

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from producers.layout import DataFile
from producers.mappings import Mapping, TimeUnit
from producers.row_readers import BadRow, OnBadRow, Row
from schemas.messages import EVENT_TYPES, BehaviorEvent, Item, UserAttributes

M = TypeVar("M", bound=BaseModel)
Converter = Callable[[int, Row], M]

UNIT_PER_MS = {"s": 0.001, "ms": 1.0, "us": 1000.0}
ARTICLE_LAST = re.compile(r"(^|\()([^()]+), (The|An?|Il|Lo|L[ae]s?|L'|D[aei][srt]|Die|El|Une?)(?= ?\(|\)|$)")
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def converted(file: DataFile, convert: Converter[M], on_bad: OnBadRow) -> Iterator[M]:
    """The messages of a file in its order; rows that cannot be used go to `on_bad`."""
    for row_number, (line, row) in enumerate(file.rows(on_bad), start=1):
        try:
            message = convert(row_number, row)
        except ValidationError as error:
            first = error.errors()[0]
            on_bad(BadRow(file.path, line, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"))
        except (ValueError, OverflowError) as error:
            on_bad(BadRow(file.path, line, str(error)))
        else:
            yield message


class Cells:
    """Reads single cells of rows as a mapping says: texts that mean nothing are None, values are renamed."""

    def __init__(self, mapping: Mapping) -> None:
        self._missing = frozenset(mapping.missing) | {""}
        self._values = mapping.values

    def text(self, row: Row, column: str) -> str | None:
        """The cell as stripped text, or None where it is absent or empty."""
        cell = row.get(column)
        if cell is None:
            return None
        text = (cell if isinstance(cell, str) else _plain(cell)).strip()
        if column in self._values:
            text = self._values[column].get(text, text)
        return None if text in self._missing else text

    def needed(self, row: Row, column: str) -> str:
        """The cell as text; it must not be empty."""
        text = self.text(row, column)
        if text is None:
            raise ValueError(f"column {column!r} is empty")
        return text

    def number(self, row: Row, column: str) -> float | None:
        """The cell as a number."""
        text = self.text(row, column)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"column {column!r}: {text[:40]!r} is not a number") from None

    def list(self, row: Row, column: str, separator: str) -> list[str]:
        """The cell as texts: a list as it stands, a text split at the separator; empty ones and repeats are dropped."""
        cell: object = row.get(column)
        parts = cell if isinstance(cell, list) else (self.text(row, column) or "").split(separator)
        texts = (self.text({column: part}, column) for part in parts)
        return list(dict.fromkeys(text for text in texts if text))

    def time_ms(self, row: Row, column: str, unit: TimeUnit, time_format: str | None = None) -> int | None:
        """The cell as Unix milliseconds."""
        cell = row.get(column)
        if isinstance(cell, date):
            return _date_ms(cell)
        text = self.text(row, column)
        if text is None:
            return None
        try:
            if time_format is not None:
                return _date_ms(datetime.strptime(text, time_format))
            if unit == "iso":
                return _date_ms(datetime.fromisoformat(text))
            return int(text) * 1000 if unit == "s" and text.isdecimal() else round(float(text) / UNIT_PER_MS[unit])
        except (ValueError, OverflowError):
            raise ValueError(f"column {column!r}: {text[:40]!r} is not a time in {time_format or unit}") from None

    def needed_time_ms(self, row: Row, column: str, unit: TimeUnit) -> int:
        """The cell as Unix milliseconds; it must not be empty."""
        time_ms = self.time_ms(row, column, unit)
        if time_ms is None:
            raise ValueError(f"column {column!r} is empty")
        return time_ms


OPTIONAL_EVENT_TEXTS = ("item_id", "text", "surface", "session_id", "domain")


def event_converter(mapping: Mapping, id_prefix: str, file_columns: tuple[str, ...] | None = None) -> Converter[BehaviorEvent]:
    """Rows of the events file. Without an event_id the id is prefix-row, so the same file gives the same ids each time.

    `file_columns` are the file's, where its rows all have the same: columns that are not there are then never looked for.
    """
    columns, cells = mapping.events, Cells(mapping)
    texts = [
        (field, column)
        for field in OPTIONAL_EVENT_TEXTS
        if (column := getattr(columns, field)) and (file_columns is None or column in file_columns)
    ]
    constant: dict[str, Any] = {"domain": mapping.domain} if mapping.domain else {}
    if columns.constant_type:
        constant["type"] = columns.constant_type

    def convert(row_number: int, row: Row) -> BehaviorEvent:
        fields = {
            **constant,
            "event_id": cells.text(row, columns.event_id) or f"{id_prefix}-{row_number}",
            "user_id": cells.needed(row, columns.user_id),
            "event_time_ms": cells.needed_time_ms(row, columns.time, columns.time_unit),
            "value": cells.number(row, columns.value),
        }
        if not columns.constant_type:
            fields["type"] = _event_type(cells.needed(row, columns.type), columns.types)
        for field, column in texts:
            if (text := cells.text(row, column)) is not None:
                fields[field] = text
        return BehaviorEvent(**fields)

    return convert


def item_converter(mapping: Mapping) -> Converter[Item]:
    """Rows of the items file."""
    columns, cells = mapping.items, Cells(mapping)

    def convert(row_number: int, row: Row) -> Item:
        tags = [tag for column in columns.tags for tag in cells.list(row, column, columns.tag_separator)]
        times = {
            name: cells.time_ms(row, column, columns.time_unit, columns.time_format)
            for name, column in (
                ("published_at_ms", columns.published_at),
                ("available_from_ms", columns.available_from),
                ("available_until_ms", columns.available_until),
            )
        }
        return Item(
            item_id=cells.needed(row, columns.item_id),
            domain=cells.text(row, columns.domain) or mapping.domain,  # type: ignore[arg-type]
            language=cells.text(row, columns.language) or mapping.language,  # type: ignore[arg-type]
            title=_title(cells.needed(row, columns.title), columns.title_case, columns.title_article_last),
            description=_description(cells, row, columns.description),
            tags=list(dict.fromkeys(tags)),
            attributes={name: value for name in columns.attributes if (value := _attribute(cells, row, name)) is not None},
            published_at_ms=_from_1970(times["published_at_ms"]) or 0,
            available_from_ms=_from_1970(times["available_from_ms"]),
            available_until_ms=_from_1970(times["available_until_ms"]),
        )

    return convert


def user_converter(mapping: Mapping, at_ms: int) -> Converter[UserAttributes]:
    """Rows of the users file; one that does not say when it was declared was at `at_ms`."""
    columns, cells = mapping.users, Cells(mapping)

    def convert(row_number: int, row: Row) -> UserAttributes:
        age, updated_at_ms = cells.number(row, columns.age), cells.number(row, columns.updated_at_ms)
        return UserAttributes(
            user_id=cells.needed(row, columns.user_id),
            updated_at_ms=at_ms if updated_at_ms is None else int(updated_at_ms),
            age=None if age is None else int(age),
            gender=cells.text(row, columns.gender),  # type: ignore[arg-type]
            location=cells.text(row, columns.location),
            occupation=cells.text(row, columns.occupation),
            language=cells.text(row, columns.language),  # type: ignore[arg-type]
            tags=cells.list(row, columns.tags, columns.tag_separator),
            free_text=cells.text(row, columns.free_text),
        )

    return convert


def _event_type(name: str, types: dict[str, Any]) -> Any:
    event_type = types.get(name, name)
    if event_type not in EVENT_TYPES:
        raise ValueError(f"event type {name[:40]!r} is not one of ours; name it under [events.types] in the mapping")
    return event_type


def _title(title: str, case: str, article_last: bool) -> str:
    if article_last:
        title = ARTICLE_LAST.sub(_article_first, title)
    return title.capitalize() if case == "sentence" and title.isupper() else title


def _article_first(found: re.Match[str]) -> str:
    opening, title, article = found.groups()
    return f"{opening}{article}{'' if article.endswith(chr(39)) else ' '}{title}"


def _description(cells: Cells, row: Row, parts: list[str]) -> str:
    texts = (_fill(cells, row, part) if "{" in part else cells.text(row, part) for part in parts)
    return " ".join(text for text in texts if text)


def _fill(cells: Cells, row: Row, template: str) -> str | None:
    """The template with its columns filled in, or None when one of them is empty."""
    values = {name: cells.text(row, name) for name in PLACEHOLDER.findall(template)}
    if None in values.values():
        return None
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), template)


def _from_1970(time_ms: int | None) -> int | None:
    return None if time_ms is None else max(time_ms, 0)


def _attribute(cells: Cells, row: Row, column: str) -> str | float | int | bool | None:
    cell = row.get(column)
    if isinstance(cell, bool | int):
        return cell
    text = cells.text(row, column)
    if text is not None and re.fullmatch(r"-?\d+(\.\d+)?", text) and len(text) < 16:
        return float(text)
    return text


def _plain(cell: object) -> str:
    if isinstance(cell, float):
        if math.isnan(cell):  # as Parquet files write a missing number
            return ""
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return str(cell)


def _date_ms(moment: date) -> int:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
