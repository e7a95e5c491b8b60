"""How the columns of a data set become our messages: the mapping file, its defaults, and the ready mappings."""

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigError
from schemas.messages import Domain, EventType, Language

MAPPING_FILE = "portrait-mapping.toml"
READY_FOLDER = Path(__file__).parent / "ready_mappings"

TimeUnit = Literal["s", "ms", "us", "iso"]


class Section(BaseModel):
    """Base of the parts of a mapping file; an unknown key is an error, so that a typo is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventColumns(Section):
    """Columns of the events file. An optional column that is not in the file is left out, unless the mapping names it."""

    user_id: str = "user_id"
    item_id: str = "item_id"
    time: str = "event_time_ms"
    time_unit: TimeUnit = "ms"
    type: str = "type"
    constant_type: EventType | None = Field(None, description="every row is of this type; `type` is not read")
    types: dict[str, EventType] = Field(default_factory=dict, description="the file's event names → ours")
    event_id: str = "event_id"
    event_id_prefix: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,32}$", description="ids are prefix-row without a column"
    )
    value: str = "value"
    text: str = "text"
    surface: str = "surface"
    session_id: str = "session_id"
    domain: str = "domain"


class ItemColumns(Section):
    """Columns of the items file. `description` parts are column names, or templates such as "Directed by {director}."."""

    item_id: str = "item_id"
    title: str = "title"
    title_case: Literal["as_is", "sentence"] = "as_is"
    title_article_last: bool = Field(False, description='"Matrix, The (1999)" → "The Matrix (1999)"')
    description: list[str] = ["description"]
    tags: list[str] = ["tags"]
    tag_separator: str = Field("|", min_length=1, description="splits tags that are one text")
    attributes: list[str] = []
    published_at: str = "published_at_ms"
    available_from: str = "available_from_ms"
    available_until: str = "available_until_ms"
    time_unit: TimeUnit = "ms"
    time_format: str | None = Field(None, description="strptime format of the times instead of time_unit, as UTC")
    language: str = "language"
    domain: str = "domain"


class UserColumns(Section):
    """Columns of the users file."""

    user_id: str = "user_id"
    age: str = "age"
    gender: str = "gender"
    location: str = "location"
    occupation: str = "occupation"
    language: str = "language"
    tags: str = "tags"
    tag_separator: str = Field("|", min_length=1)
    free_text: str = "free_text"
    updated_at_ms: str = "updated_at_ms"


class Mapping(Section):
    """A whole mapping file. `domain` and `language` are those of every row whose file has no such column."""

    domain: Domain | None = None
    language: Language = "en"
    missing: list[str] = Field(default_factory=list, description='texts that mean "no value", such as N/A')
    values: dict[str, dict[str, str]] = Field(
        default_factory=dict, description='column → the file\'s value → ours; "" drops the value'
    )
    events: EventColumns = EventColumns()
    items: ItemColumns = ItemColumns()
    users: UserColumns = UserColumns()


def ready_mappings() -> list[str]:
    """Names of the mappings that come with Portrait."""
    return sorted(path.stem for path in READY_FOLDER.glob("*.toml"))


def find_mapping(folder: Path, name_or_path: str | None) -> tuple[Mapping, str]:
    """The mapping of a data folder, and where it comes from.

    In this order: the one asked for (a ready mapping's name or a file), the folder's own portrait-mapping.toml, the ready
    mapping with the folder's name, plain column names.

    Raises:
        ConfigError: the mapping asked for does not exist, or a mapping file is wrong.
    """
    if name_or_path is not None:
        path = _named(name_or_path)
    elif (folder / MAPPING_FILE).is_file():
        path = folder / MAPPING_FILE
    elif folder.resolve().name in ready_mappings():
        path = READY_FOLDER / f"{folder.resolve().name}.toml"
    else:
        return Mapping(), "plain column names"
    return read_mapping(path), path.stem if path.parent == READY_FOLDER else str(path)


def _named(name_or_path: str) -> Path:
    if name_or_path in ready_mappings():
        return READY_FOLDER / f"{name_or_path}.toml"
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise ConfigError(f"no mapping {name_or_path!r}: name a mapping file, or one of {', '.join(ready_mappings())}")


def read_mapping(path: Path) -> Mapping:
    """Read one mapping file.

    Raises:
        ConfigError: it is not TOML, or a key or value is wrong; the message names it.
    """
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"mapping file {path}: {error}; docs/data-layout.md shows the format") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"mapping file {path}: {key}: {first['msg']}; docs/data-layout.md lists the keys") from error


def event_id_prefix(mapping: Mapping, folder: Path) -> str:
    """What row-based event ids begin with: the mapping's word, else the folder's name made short and plain."""
    if mapping.events.event_id_prefix:
        return mapping.events.event_id_prefix
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-")[:32] or "row"
