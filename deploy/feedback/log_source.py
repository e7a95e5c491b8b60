"""Lists, impressions and events of a policy's log: from the topics, or from a folder of JSON lines."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from deploy.reading import decoded, read_all
from schemas.errors import BadMessage, ConfigError
from schemas.messages import BehaviorEvent, Impression, Recommendations
from schemas.settings import Settings
from schemas.topics import BEHAVIOR_EVENTS, IMPRESSIONS, RECOMMENDATIONS

FILES: dict[str, type[BaseModel]] = {
    "recommendations.jsonl": Recommendations,
    "impressions.jsonl": Impression,
    "events.jsonl": BehaviorEvent,
}


class PolicyLog(NamedTuple):
    """All of it; `malformed` counts what could not be read."""

    lists: list[Recommendations]
    impressions: list[Impression]
    events: list[BehaviorEvent]
    malformed: Counter[str]


def read_topics(settings: Settings) -> PolicyLog:
    """What the topics hold now.

    Raises:
        ConfigError: there is no Kafka, or a topic is missing.
    """
    log = PolicyLog([], [], [], Counter())
    for record in read_all(settings.kafka, [RECOMMENDATIONS, IMPRESSIONS, BEHAVIOR_EVENTS]):
        try:
            _keep(decoded(record, settings.fold)[1], log)
        except BadMessage:
            log.malformed[record.topic] += 1
    return log


def read_files(folder: Path) -> PolicyLog:
    """What the folder's files hold, one message a line.

    Raises:
        ConfigError: one of the files is missing.
    """
    log = PolicyLog([], [], [], Counter())
    for name, model in FILES.items():
        for line in _lines(folder / name):
            try:
                _keep(model.model_validate_json(line), log)
            except ValidationError:
                log.malformed[name] += 1
    return log


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.strip())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); the folder needs {', '.join(FILES)}") from None


def _keep(message: BaseModel | None, log: PolicyLog) -> None:
    if isinstance(message, Recommendations):
        log.lists.append(message)
    elif isinstance(message, Impression):
        log.impressions.append(message)
    elif isinstance(message, BehaviorEvent):
        log.events.append(message)
