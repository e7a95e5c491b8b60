"""Dead letters for people and machines. Nothing in them can be trusted: not the bytes, the key or the headers."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from deploy.dead_letter_replay import Plan
from deploy.dead_letters import Letter
from deploy.display import shown
from deploy.hostile import as_text, escaped, escaped_bytes, hex_dump, lines
from deploy.local.show import table
from deploy.state_view import when

KEY_CELLS = 24
MIN_PAYLOAD_CELLS = 20
USED_CELLS = 108
"""Columns that everything beside the payload takes."""


def letters_table(letters: Sequence[Letter], width: int) -> Table:
    """A row a letter, newest first."""
    made = table("place", "when", "reason", "source", "key", "bytes", "payload")
    for column in made.columns:
        column.no_wrap = True
    made.columns[5].justify = "right"
    cells = max(MIN_PAYLOAD_CELLS, width - USED_CELLS)
    for letter in letters:
        again = " (replayed)" if letter.replayed_from is not None else ""
        made.add_row(
            str(letter.place),
            when(letter.timestamp_ms),
            Text(shown(letter.reason, 16) + again),
            Text(shown(letter.source, 32)),
            Text(shown(_key(letter), KEY_CELLS)),
            "null" if letter.value is None else f"{letter.size_bytes:,}",
            Text(shown(escaped_bytes((letter.value or b"")[: 4 * cells]), cells)),
        )
    return made


def _key(letter: Letter) -> str:
    return "(null)" if letter.key is None else escaped_bytes(letter.key[:200])


def letter_fields(letter: Letter) -> dict[str, Any]:
    """A letter for a line of JSON, its bytes as base64."""
    return {
        "place": str(letter.place),
        "timestamp_ms": letter.timestamp_ms,
        **{name.replace("-", "_"): value for name, value in letter.ours.items()},
        "replayed_from": letter.replayed_from,
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
        "bytes": letter.size_bytes,
        "value_base64": None if letter.value is None else base64.b64encode(letter.value).decode(),
    }


def letter_lines(letter: Letter) -> Iterator[str]:
    """All of a letter: why, from where, every header, and the whole payload, as text if it is text, else as a hex dump."""
    yield f"dead letter {letter.place} of {when(letter.timestamp_ms)}"
    yield f"reason      {escaped(letter.reason)}"
    yield f"detail      {escaped(letter.ours.get('detail', '?'))}"
    yield f"source      {escaped(letter.source)} of {when(letter.source_timestamp_ms)}"
    yield f"key         {'(null)' if letter.key is None else escaped_bytes(letter.key)}"
    if letter.replayed_from is not None:
        yield f"replayed    from {escaped(letter.replayed_from)}, and it failed again"
    for name, value in letter.original_headers:
        yield f"header      {escaped(name)}: {'(null)' if value is None else escaped_bytes(value)}"
    if letter.value is None:
        yield "payload     (null)"
        return
    text = as_text(letter.value)
    yield f"payload     {letter.size_bytes:,} bytes of {'text' if text is not None else 'something that is not text'}"
    yield ""
    if text is not None:
        yield lines(text)
    else:
        yield from hex_dump(letter.value)


def plan_lines(plan: Plan) -> Iterator[str]:
    """What a replay will do."""
    for topic, count in plan.topics().items():
        yield f"{count:,} to {escaped(topic)}"
    for reason, count in sorted(plan.left_out.items()):
        places = ", ".join(map(str, plan.sourceless[:5])) if reason == "no source" else ""
        yield f"{count:,} left out: {reason}{f' ({places})' if places else ''}"
    if not plan.targets and not plan.left_out:
        yield "no dead letter is meant"
