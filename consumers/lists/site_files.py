"""Files that a site writes: rules and concepts."""

from pathlib import Path

from schemas.errors import ConfigError


def site_text(path: Path) -> str:
    """The text of one.

    Raises:
        ConfigError: it is missing, or no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
