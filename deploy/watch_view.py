"""How a watched user looks: pure functions from `Watched` to what rich draws, and to plain lines."""

import json
from collections.abc import Sequence
from io import StringIO

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.display import bar, clock, duration, shown
from deploy.watch import SeenEvent, Watched
from schemas.messages import (
    BehaviorEvent,
    Reason,
    RecommendedItem,
    Sentence,
    Statement,
    UserProfile,
)
from schemas.topics import BEHAVIOR_EVENTS, USER_CONTROLS

FRAME = "grey42"
QUIET = "grey58"
STANCE_STYLE = {"likes": "green", "dislikes": "red", "is": "cyan", "viewed": "blue"}
BADGE = {"llm": (" LLM ", "bold white on dark_magenta"), "plain": ("plain", "black on grey62")}
REASON_WORDS = {
    "interest": "likes {}",
    "similar_to": "similar to {}",
    "profile": "fits the profile",
    "popular": "popular",
    "fresh": "new",
    "neighbour": "others turn to it after {}",
    "concept": "about {}",
    "rule": "rule: {}",
    "exploration": "something else",
    "again": "taken before",
}
BADGE_CELLS = 6
SENTENCE_CELLS = 600
MAX_REASONS = 3
LEAST_UPPER = 12
"""Lines that events and profile have before the list is cut."""
STRENGTH_CELLS = 6
CONSENT_EXAMPLE = {"kind": "consent", "issued_at_ms": 0, "purpose": "profile", "granted": True}


def watch_view(user: Watched, now_ms: int, width: int, height: int | None = None, note: str = "") -> RenderableType:
    """The user's events, profile and list, `width` columns wide and at most `height` lines high (None: all of it)."""
    header = _header(user, now_ms, note)
    if not user.known and user.loading:
        return Group(header, _frame("Reading", Text("What is known of this user is being read from Kafka …", QUIET)))
    if not user.known:
        return Group(header, _frame("Nobody by this name", _unknown(user)))
    items = user.recommendations.items if user.recommendations else []
    list_rows = len(items) if height is None else min(len(items), max(3, height - LEAST_UPPER - 3))
    upper = None if height is None else height - 1 - max(list_rows, 1) - 2
    left = max(30, min(52, width * 2 // 5))
    columns = Table.grid(expand=True)
    columns.add_column(width=left)
    columns.add_column(width=width - left)
    columns.add_row(
        _frame("Events", _events(user, now_ms, left - 4, upper), height=upper),
        _frame(_profile_title(user, now_ms), _profile(user, now_ms, width - left - 4, upper), height=upper),
    )
    return Group(header, columns, _frame(_list_title(user, now_ms), _list(user, items[:list_rows], width - 4)))


def _frame(title: str | Text, body: RenderableType, height: int | None = None) -> Panel:
    heading = Text(title, "bold") if isinstance(title, str) else title
    return Panel(body, title=heading, title_align="left", box=ROUNDED, border_style=FRAME, padding=(0, 1), height=height)


def _header(user: Watched, now_ms: int, note: str) -> RenderableType:
    left = Text(" ").append(shown(user.user_id, 40), "bold")
    if facts := declared(user):
        left.append(f"  {facts}", QUIET)
    right = Text()
    for granted, name in ((user.consents("profile"), "profile"), (user.consents("recommendations"), "lists")):
        right.append("● " if granted else "○ ", "green" if granted else "red")
        right.append(f"{name} {'allowed' if granted else 'not allowed'}   ", QUIET)
    right.append(note or clock(now_ms, now_ms), "yellow" if note else QUIET).append(" ")
    row = Table.grid(expand=True)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    row.add_row(left, right)
    return row


def declared(user: Watched) -> str:
    """What the user declared, in a few words."""
    said = user.attributes
    if said is None:
        return ""
    facts = [str(said.age) if said.age is not None else "", said.gender, said.location, said.occupation, said.language]
    facts.append(", ".join(said.tags[:6]))
    return shown(" · ".join(fact for fact in facts if fact), 60)


def _unknown(user: Watched) -> RenderableType:
    text = Text(f"No event, attribute, profile or list of {shown(user.user_id, 60)} is on Kafka.\n\n")
    text.append("Send an event: ", "bold")
    text.append(f"produce one to {BEHAVIOR_EVENTS.name} under this key, or run `portrait demo`.")
    if user.neighbours:
        text.append("\nOr watch somebody else: ", "bold").append(", ".join(shown(name, 30) for name in user.neighbours))
    return text


def _events(user: Watched, now_ms: int, width: int, height: int | None) -> RenderableType:
    if not user.events:
        return Text("none" if user.erased_ms is None else "none since the erasure", QUIET)
    cited = _statements_by_event(user.profile)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style=QUIET, no_wrap=True)
    table.add_column(no_wrap=True, max_width=14)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", style="cyan", no_wrap=True)
    for seen in list(user.events)[: None if height is None else height - 2]:
        table.add_row(clock(_time_of(seen), now_ms), *_event_cells(user, seen, width), cited.get(_id_of(seen), ""))
    return table


def _time_of(seen: SeenEvent) -> int:
    return seen.event.event_time_ms if seen.event else seen.arrived_ms


def _id_of(seen: SeenEvent) -> str:
    return seen.event.event_id if seen.event else ""


def _event_cells(user: Watched, seen: SeenEvent, width: int) -> tuple[Text, Text]:
    if seen.event is None:
        return Text("refused", "red"), Text(shown(f"{seen.refusal} in {seen.topic}", width), "red")
    return Text(seen.event.type.replace("_", " ")), Text(shown(about(user, seen.event), width))


def about(user: Watched, event: BehaviorEvent) -> str:
    """What an event is about; hostile text."""
    parts = [user.title(event.item_id)] if event.item_id else []
    if event.value is not None:
        parts.insert(0, f"{event.value:g}")
    if event.text:
        parts.append(f"“{event.text}”")
    return " ".join(parts)


def _statements_by_event(profile: UserProfile | None) -> dict[str, str]:
    """By event id, the numbers of the statements it supports."""
    cited: dict[str, str] = {}
    for number, statement in enumerate(profile.statements if profile else [], 1):
        for source in statement.evidence:
            if source.startswith("event:"):
                event_id = source.removeprefix("event:")
                cited[event_id] = f"{cited[event_id]} {number}" if event_id in cited else str(number)
    return {event_id: shown(numbers, 8) for event_id, numbers in cited.items()}


def _profile_title(user: Watched, now_ms: int) -> Text:
    title = Text("Profile", "bold")
    if user.profile:
        profile = user.profile
        took = duration((user.profile_arrived_ms - profile.cause.waiting_since_ms) / 1000)
        facts = f" · {clock(profile.generated_at_ms, now_ms)} · {profile.event_count:,} events · waited {took}"
        title.append(facts, f"not bold {QUIET}")
    return title


def _profile(user: Watched, now_ms: int, width: int, height: int | None) -> RenderableType:
    if user.profile is None:
        return _no_profile(user, now_ms)
    beside_badge = width - BADGE_CELLS
    cells = SENTENCE_CELLS if height is None else (height - 2) // 2 * beside_badge // max(1, len(user.profile.summary))
    sentences = [_sentence(sentence, cells) for sentence in user.profile.summary]
    summary = Table.grid(padding=(0, 1))
    summary.add_column(no_wrap=True)
    summary.add_column()
    for sentence, text in zip(user.profile.summary, sentences, strict=True):
        summary.add_row(_badge(sentence), text)
    statements = user.profile.statements
    room = len(statements) if height is None else max(1, height - 3 - _lines(sentences, beside_badge))
    if len(statements) > room:
        more = len(statements) - room + 1
        return Group(summary, "", _statements(statements[: room - 1], width), Text(f"… and {more} more", QUIET))
    return Group(summary, "", _statements(statements, width))


def _lines(texts: Sequence[Text], width: int) -> int:
    """Lines that texts take when wrapped."""
    console = Console(file=StringIO(), width=width)
    return sum(len(text.wrap(console, width)) for text in texts)


def _badge(sentence: Sentence) -> Text:
    label, style = BADGE[sentence.source]
    return Text(label, style)


def _sentence(sentence: Sentence, cells: int) -> Text:
    text = Text(shown(sentence.text, max(20, cells)))
    numbers = " ".join(str(index + 1) for index in sentence.statements)
    return text.append(f" {numbers}", "cyan") if numbers else text


def _no_profile(user: Watched, now_ms: int) -> Text:
    if user.erased_ms is not None:
        return Text(f"Erased at {clock(user.erased_ms, now_ms)}: no profile is kept.")
    if not user.consents("profile"):
        example = json.dumps({**CONSENT_EXAMPLE, "user_id": shown(user.user_id, 60), "issued_at_ms": now_ms})
        text = Text("No profile: this user has not agreed to one, and profiles are opt-in.\n\n")
        return text.append(f"To agree, send to {USER_CONTROLS.name}:\n", QUIET).append(example, QUIET)
    if user.profile_withdrawn:
        return Text("The profile was withdrawn.")
    return Text("No profile yet. The first is written after a few events, or as soon as tags are declared.", QUIET)


def _statements(statements: Sequence[Statement], width: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", style="cyan", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(ratio=2, style=QUIET, no_wrap=True, overflow="ellipsis")
    for number, statement in enumerate(statements, 1):
        topic = f"{statement.topic} {statement.value}" if statement.value else statement.topic
        style = STANCE_STYLE[statement.stance]
        table.add_row(
            str(number),
            Text(statement.stance, style),
            Text(shown(topic, width)),
            Text(bar(statement.strength, STRENGTH_CELLS), style).append(f" {statement.strength:.2f}", QUIET),
            Text(evidence(statement, width // 3)),
        )
    return table


def evidence(statement: Statement, cells: int) -> str:
    """What a statement rests on, as far as it fits: declared fields first, then newest events, then how many more."""
    fields = [source.removeprefix("field:") for source in statement.evidence if not source.startswith("event:")]
    events = [source.removeprefix("event:") for source in statement.evidence if source.startswith("event:")]
    named = [shown(name, 16) for name in fields + events]
    for kept in range(len(named), 0, -1):
        rest = f" +{len(named) - kept}" if kept < len(named) else ""
        text = ", ".join(named[:kept]) + rest
        if len(text) <= cells:
            return text
    return shown(f"{len(named)} sources", cells)


def _list_title(user: Watched, now_ms: int) -> Text:
    title = Text("List", "bold")
    if user.recommendations:
        made = user.recommendations
        took = duration((user.list_arrived_ms - made.cause.waiting_since_ms) / 1000)
        facts = f" · {clock(made.generated_at_ms, now_ms)} · {made.catalog_size:,} items to choose from · waited {took}"
        title.append(facts, f"not bold {QUIET}")
    return title


def _list(user: Watched, items: Sequence[RecommendedItem], width: int) -> RenderableType:
    if not items:
        return Text(_no_list(user), QUIET)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(justify="right", style="cyan", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, style=QUIET, no_wrap=True, overflow="ellipsis")
    for rank, item in enumerate(items, 1):
        reasons = " · ".join(reason_words(reason) for reason in item.reasons[:MAX_REASONS])
        table.add_row(str(rank), Text(shown(item.title, width)), f"{item.score:.3f}", Text(shown(reasons, width)))
    return table


def _no_list(user: Watched) -> str:
    if user.erased_ms is not None:
        return "Erased: no list is kept."
    if not user.consents("recommendations"):
        return "No list: this user has not agreed to recommendations."
    if user.list_withdrawn:
        return "The list was withdrawn."
    if user.recommendations is not None:
        return "The list is empty: nothing in the catalogue may be shown to this user."
    return "No list yet. Events make one: is a profiler running? See `portrait top`."


def reason_words(reason: Reason) -> str:
    """A reason in a few words."""
    words = REASON_WORDS.get(reason.kind)
    return shown(reason.text, 80) if words is None else words.format(shown(reason.detail, 40))
