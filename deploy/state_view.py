"""States for people and machines. Ids, tags and texts in them are others': hostile, and shown as plain text on one line."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.display import shown
from deploy.local.show import table
from deploy.state_size import StateSize
from deploy.state_verify import Comparison, Difference
from schemas.state import UserState

MAX_ROWS = 20
"""Events and items shown of a user; --json has all."""


def when(time_ms: int) -> str:
    """A time in UTC; times that no calendar has are shown as numbers."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_ms / 1000)) + "Z"
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def named(value: Any) -> Any:
    """A state, or a part of one, with names instead of positions; the text vector as base64 of little-endian float16."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [named(entry) for entry in value]
    if isinstance(value, dict):
        return {key: named(entry) for key, entry in value.items()}
    return value


def state_view(user_id: str, moment: str, state: UserState, size_bytes: int, width: int) -> RenderableType:
    """Everything known of a user; `moment` says from where and as of when."""
    parts: list[RenderableType] = [
        Text.assemble(("user ", "bold"), (shown(user_id, 140), "bold cyan")),
        Text(moment, style="dim"),
        Text(f"version {state.version}, {state.event_count} events, {len(state.items)} items, {size_bytes:,} bytes"),
    ]
    for title, facts in (("declared", _declared(state)), ("controls", _controls(state)), ("profile", _profile(state))):
        parts += [Text(), Text(title, style="bold"), *(Text(f"  {name}: {value}") for name, value in facts)]
        if not facts:
            parts.append(Text("  nothing", style="dim"))
    if state.events:
        parts += [Text(), _events(state, width)]
    if state.items:
        parts += [Text(), _items(state)]
    return Group(*parts)


def _declared(state: UserState) -> list[tuple[str, str]]:
    given = state.attributes
    if given is None:
        return []
    facts = [(name, getattr(given, name)) for name in ("age", "gender", "location", "occupation", "language", "free_text")]
    known = [(name, shown(str(value), 400)) for name, value in facts if value is not None]
    tags = [("tags", _listed(given.tags))] if given.tags else []
    return [*known, *tags, ("updated", when(given.updated_at_ms))]


def _controls(state: UserState) -> list[tuple[str, str]]:
    facts = [("consent", ", ".join(f"{purpose} {'yes' if given else 'no'}" for purpose, given in state.consent.items()))]
    facts += [("muted tags", _listed(state.muted_tags)), ("muted items", _listed(state.muted_items))]
    facts.append(("edits", _listed([f"{topic} = {stance}" for topic, stance in state.edits.items()])))
    return [(name, value) for name, value in facts if value]


def _profile(state: UserState) -> list[tuple[str, str]]:
    profile = state.profile
    if profile is None:
        return []
    return [
        ("written", f"{when(profile.generated_at_ms)} of state version {profile.state_version}, in {profile.language}"),
        ("about", _listed(profile.topics)),
        ("text vector", f"{len(profile.text_vector) // 2} dimensions"),
    ]


def _listed(texts: Sequence[str]) -> str:
    listed = ", ".join(shown(text, 60) for text in texts[:MAX_ROWS])
    return listed + (f" and {len(texts) - MAX_ROWS} more" if len(texts) > MAX_ROWS else "")


def _events(state: UserState, width: int) -> Table:
    made = table("when", "type", "item", "value", "text", "event id")
    for event in reversed(state.events[-MAX_ROWS:]):
        value = "" if event.value is None else f"{event.value:g}"
        text, item = shown(event.text or "", max(10, width - 90)), shown(event.item_id or "", 24)
        made.add_row(
            when(event.event_time_ms), Text(event.type), Text(item), value, Text(text), Text(shown(event.event_id, 24))
        )
    if len(state.events) > MAX_ROWS:
        made.caption = f"the newest {MAX_ROWS} of {len(state.events)} kept"
    return made


def _items(state: UserState) -> Table:
    made = table("item", "weight", "last event")
    heaviest = sorted(state.items.items(), key=lambda pair: (-pair[1].weight_milli, pair[0]))
    for item_id, count in heaviest[:MAX_ROWS]:
        made.add_row(Text(shown(item_id, 60)), f"{count.weight_milli / 1000:g}", when(count.last_event_time_ms))
    if len(heaviest) > MAX_ROWS:
        made.caption = f"the heaviest {MAX_ROWS} of {len(heaviest)}"
    return made


def scan_fields(user_id: str, size_bytes: int, state: UserState | str) -> dict[str, Any]:
    """One user in a scan, for a line of JSON; `state` is a text when the bytes are no state."""
    if isinstance(state, str):
        return {"user_id": user_id, "bytes": size_bytes, "unreadable": state}
    return {
        "user_id": user_id,
        "events": state.event_count,
        "items": len(state.items),
        "profile": state.profile is not None,
        "bytes": size_bytes,
        "newest_event_ms": state.events[-1].event_time_ms if state.events else None,
    }


SCAN_HEADER = f"{'events':>8} {'items':>6} profile {'bytes':>8}  {'newest event':20}  user"


def scan_line(fields: Mapping[str, Any]) -> str:
    """One user in a scan, for people."""
    user = shown(fields["user_id"], 140)
    if "unreadable" in fields:
        return f"{'?':>8} {'?':>6} {'?':7} {fields['bytes']:>8,}  {'unreadable':20}  {user}"
    newest = "–" if fields["newest_event_ms"] is None else when(fields["newest_event_ms"])
    profile = "yes" if fields["profile"] else "no"
    return f"{fields['events']:>8,} {fields['items']:>6,} {profile:7} {fields['bytes']:>8,}  {newest:20}  {user}"


def verify_table(comparisons: Sequence[Comparison]) -> Table:
    """A row a comparison."""
    made = table("partition", "against", "changelog", "there", "same", "not known", "behind", "differing")
    for column in made.columns[2:]:
        column.justify = "right"
    for row in comparisons:
        counts = (row.logged, row.other, row.same, row.unknown, row.records_behind)
        differing = Text(f"{row.differing:,}", style="bold red" if row.differing else "green")
        made.add_row(str(row.partition), Text(shown(row.against, 40)), *(f"{count:,}" for count in counts), differing)
    return made


def difference_lines(differences: Sequence[Difference]) -> Iterator[Text]:
    """A line a differing user."""
    for found in differences:
        place = f"  partition {found.partition}, {found.against}: "
        yield Text.assemble(shown(place, 80), " ", (shown(found.user_id, 140), "cyan"), " ", shown(found.what, 400))


def size_table(sizes: Mapping[str, StateSize]) -> Table:
    """A row a partition."""
    columns = ("users", "mean", "p50", "p95", "max", "log", "live", "compaction saves", "stores on disk")
    made = table("partition", *columns)
    for column in made.columns[1:]:
        column.justify = "right"
    for name, size in sizes.items():
        users = [size.mean, size.percentile(0.5), size.percentile(0.95), size.percentile(1.0)]
        made.add_row(
            name,
            f"{len(size.user_bytes):,}",
            *(f"{value:,.0f} B" for value in users),
            *(f"{value:,} B" for value in (size.log_bytes, size.live_bytes)),
            f"{size.saving:.0%}",
            f"{size.store_bytes:,} B",
        )
    return made
