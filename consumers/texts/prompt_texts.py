"""The words prompts are made of, read from the versioned files in prompt_files/."""

import tomllib
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigError
from schemas.messages import Language

FOLDER = Path(__file__).parent / "prompt_files"

PartKind = Literal["about", "trends", "dislikes", "habits", "viewed"]
Group = Literal[
    "likes", "dislikes", "viewed", "new", "back", "rising", "fading", "gone",
    "time_of_day", "price_band", "format", "brand", "author",
]  # fmt: skip
"""What is said of a list of names. `back`: a like that was a dislike; `gone`: a dislike that was a like."""
GROUPS: tuple[Group, ...] = get_args(Group)
VARIANTS = 3
"""How many wordings there are of each."""


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(_Words):
    """One language of narrator-N.toml."""

    system: str
    must_name: str
    must_not_say: str
    labels: dict[str, str]
    subjects: dict[str, str]
    nouns: dict[str, str] = {}
    times: dict[str, str]
    formats: dict[str, str]
    wordings: dict[Group, tuple[str, ...]]


class ExamplePerson(_Words):
    """Somebody for an example: more facts than any one question has."""

    gender: str
    age: str
    occupation: str
    field: str
    condition: str
    location: str
    names: tuple[str, ...]
    titles: tuple[str, ...]


class Examples(_Words):
    """One language of few-shot-N.toml."""

    system: str
    people: tuple[ExamplePerson, ...] = Field(min_length=2)


class NarratorTexts(_Words):
    """A file of wordings."""

    version: str
    en: Wording
    zh: Wording

    def of(self, language: Language) -> Wording:
        """The words of a language."""
        return self.zh if language == "zh" else self.en


class FewShotTexts(_Words):
    """A file of examples."""

    version: str
    en: Examples
    zh: Examples

    def of(self, language: Language) -> Examples:
        """The examples of a language."""
        return self.zh if language == "zh" else self.en


Texts = TypeVar("Texts", bound=BaseModel)


def _read(model: type[Texts], name: str) -> Texts:
    try:
        return model.model_validate(tomllib.loads((FOLDER / name).read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"prompt file {name}: {error}; is Portrait installed with its data files?") from error


TEXTS = _read(NarratorTexts, "narrator-2.toml")
FEW_SHOT = _read(FewShotTexts, "few-shot-2.toml")
