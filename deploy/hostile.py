"""Bytes and texts of others, written so that they can be read in full and never steer a terminal. Nothing is left out."""

import json
from collections.abc import Iterator

HEX_WIDTH = 16


def escaped(text: str) -> str:
    """The text with everything that does not print as an escape, a line break as \\n."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def escaped_bytes(data: bytes) -> str:
    """The bytes as UTF-8 text on one line; what is not text is escaped."""
    return escaped(data.decode(errors="backslashreplace"))


def as_text(data: bytes) -> str | None:
    """The bytes as text, None when they are none: not UTF-8, or with control characters other than tab and line breaks."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    control = any((c < " " and c not in "\t\n\r") or "\x7f" <= c < "\xa0" for c in text)
    return None if control else text


def lines(text: str) -> str:
    """A text of several lines; within a line everything that does not print is escaped."""
    return "\n".join(escaped(line) for line in text.replace("\r\n", "\n").split("\n"))


def as_json(value: object, indent: int | None = None) -> str:
    """JSON that a person can read in any language; characters that do not print are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def hex_dump(data: bytes) -> Iterator[str]:
    """Offset, bytes and their ASCII, 16 a line."""
    for start in range(0, len(data), HEX_WIDTH):
        part = data[start : start + HEX_WIDTH]
        ascii_part = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{start:08x}  {part.hex(' '):<{3 * HEX_WIDTH - 1}}  {ascii_part}"
