"""The user_id that a command is given, held against the schema that every message's user_id is held against."""

from typing import Annotated

import typer

from schemas.errors import ConfigError

SHOWN_CHARACTERS = 40


def _valid(user: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from schemas.messages import Identifier

    try:
        return TypeAdapter(Identifier).validate_python(user)
    except ValidationError:
        cut = "…" if len(user) > SHOWN_CHARACTERS else ""
        raise ConfigError(
            f"{user[:SHOWN_CHARACTERS]!r}{cut} is no user_id: one has 1 to 128 characters in UTF-8, without control characters"
        ) from None


UserId = Annotated[str, typer.Argument(help="user_id, the Kafka key", callback=_valid)]
