"""Plain sequences: `sequences.txt[.gz]`, one user a line, the user's id and then item ids in their order, and beside it
perhaps `item_attributes.json[.gz]`, `{"item": [attributes]}`.

Such files have no times, types or titles. So that the same rows come out as of any other file, a user's n-th event is a view n
minutes after BEGIN_MS, an item is titled with its id, and its attributes are tags. A mapping may say what is known better.
"""

import json
from pathlib import Path

from producers.row_readers import BadRow, OnBadRow, Rows, open_text
from schemas.errors import ConfigError
from schemas.messages import Domain, EventType

SEQUENCES = ("sequences.txt", "sequences.txt.gz")
ATTRIBUTES = ("item_attributes.json", "item_attributes.json.gz")
EVENT_COLUMNS = ("user_id", "item_id", "event_time_ms", "type")
ITEM_COLUMNS = ("item_id", "title", "tags")
BEGIN_MS = 946_684_800_000
"""2000-01-01."""
STEP_MS = 60_000
TYPE: EventType = "view"
DOMAIN: Domain = "ecommerce"


def is_sequence_file(path: Path) -> bool:
    """Whether its events have an order but no times."""
    return path.name in SEQUENCES


def sequence_rows(path: Path, on_bad: OnBadRow) -> Rows:
    """The events of each line; a line without an item, and a user's second line, are bad rows."""
    seen: set[str] = set()
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            user, *items = line.split() or [""]
            if not user:
                continue
            if not items:
                on_bad(BadRow(path, number, "a user's id and then item ids are expected, this has one word"))
            elif user in seen:
                on_bad(BadRow(path, number, f"user {user[:40]!r} has two lines"))
            else:
                seen.add(user)
                for place, item in enumerate(items):
                    yield number, dict(zip(EVENT_COLUMNS, (user, item, BEGIN_MS + place * STEP_MS, TYPE), strict=True))


def attribute_rows(path: Path) -> Rows:
    """The items of a file of attributes.

    Raises:
        ConfigError: it has another form.
    """
    try:
        with open_text(path) as file:
            read = json.load(file)
        for number, (item, attributes) in enumerate(read.items(), start=1):
            if not isinstance(attributes, list):
                raise TypeError(f"{item[:40]!r} has no list")
            yield number, {"item_id": item, "title": item, "tags": [str(one) for one in attributes]}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f'{path} is not JSON of the form {{"item": [attributes]}}: {error}') from error
