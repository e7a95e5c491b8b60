"""Text and numbers for a terminal. What users and sellers wrote is hostile: it must not move the cursor or break a column."""

import time
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

DAY_MS = 24 * 60 * 60 * 1000
MAX_MARKS = 2
BLOCKS = " ▁▂▃▄▅▆▇█"

_DROPPED = frozenset({"Cc", "Cf"})
"""Control characters (escape sequences begin with one) and invisible formatting such as a reversal of direction."""
_UNKNOWN = frozenset({"Cn", "Co", "Cs"})
"""No terminal agrees on their width."""
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})


def shown(text: str, cells: int) -> str:
    """`text` on one line of at most `cells` columns, with nothing in it that a terminal would obey.

    Put it in a `rich.text.Text`, which reads no markup.
    """
    line = " ".join(_harmless(text[: 8 * cells]).split())
    if cell_len(line) <= cells and len(text) <= 8 * cells:
        return line
    return set_cell_size(line, min(cell_len(line), cells - 1)).rstrip() + "…"


def _harmless(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        if character in "\t\n\r" or category in _SPACES:
            kept.append(" ")
        elif category in _UNKNOWN:
            kept.append("�")
        elif category not in _DROPPED and marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def bar(share: float, cells: int) -> str:
    """A bar of `cells` columns; `share` is in 0..1, and anything above 0 fills at least one column."""
    filled = min(cells, max(round(share * cells), 1 if share > 0 else 0))
    return "▰" * filled + "▱" * (cells - filled)


def sparkline(values: Sequence[float | None], cells: int) -> str:
    """The newest `cells` values as blocks, scaled to their own largest, right-aligned; None leaves a gap."""
    newest = values[-cells:]
    top = max((value for value in newest if value is not None), default=0.0)
    return "".join(_block(value, top) for value in newest).rjust(cells)


def _block(value: float | None, top: float) -> str:
    if value is None:
        return " "
    if value <= 0 or top <= 0:
        return BLOCKS[1]
    return BLOCKS[min(8, 1 + int(8 * value / top))]


def clock(time_ms: int, now_ms: int) -> str:
    """The local time of day for the last 24 hours, else the date."""
    pattern = "%H:%M:%S" if abs(now_ms - time_ms) < DAY_MS else "%Y-%m-%d"
    return time.strftime(pattern, time.localtime(time_ms / 1000))


def number(value: float | None, unit: str = "") -> str:
    """A rate or count in few characters; – when unknown."""
    if value is None:
        return "–"
    digits = 1 if 0 < abs(value) < 10 and value != int(value) else 0
    return f"{value:,.{digits}f}{unit}"


def duration(seconds: float | None) -> str:
    """A duration with two or three significant digits; – when unknown."""
    if seconds is None:
        return "–"
    if seconds >= 10:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = 1000 * seconds
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
