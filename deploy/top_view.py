"""How a look at all processes looks: pure functions from `Look` to what rich draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.display import clock, duration, number, shown, sparkline
from deploy.top import HISTORY, Look, Model, Quantiles, Worker

FRAME = "grey42"
QUIET = "grey58"
STATE = {"ready": ("●", "green"), "up": ("●", "green"), "not ready": ("◐", "yellow")}
DOWN = ("○", "red")
RATE_NAMES = {
    "events": ("events folded", "cyan"),
    "lists": ("lists", "green"),
    "profiles": ("profiles", "magenta"),
    "llm_tokens": ("LLM tokens", "magenta"),
    "items": ("items encoded", "blue"),
}
FEWEST_FAULTS = 4
"""Lines of faults when dead letters are not told apart."""


@dataclass(frozen=True)
class Room:
    """How many lines each part has."""

    workers: int
    middle: int
    faults: int


def room_in(look: Look, height: int | None) -> Room:
    """Share `height` lines out: latencies and faults first, then workers, then waiting, then kinds of dead letters."""
    latencies, waiting = 1 + len(look.latencies_s), 2 + len(look.lag_messages)
    if height is None:
        return Room(len(look.workers), max(latencies, waiting), FEWEST_FAULTS + len(look.dead_letters))
    frames, headings = 5 * 2 - 2, 2  # the lower panels stand in pairs
    spare = height - frames - headings - len(RATE_NAMES) - latencies - FEWEST_FAULTS
    workers = max(2, min(spare, len(look.workers)))
    middle = latencies + max(0, min(spare - workers, waiting - latencies))
    faults = FEWEST_FAULTS + max(0, min(spare - workers - (middle - latencies), len(look.dead_letters)))
    return Room(workers, middle, faults)


def top_view(look: Look, width: int, height: int | None = None) -> RenderableType:
    """All processes at one moment, `width` columns wide and, from 30 on, at most `height` lines high (None: all of it)."""
    room = room_in(look, height)
    left = width * 11 // 20
    right = width - left
    return Group(
        _header(look),
        _frame("Workers", _workers(look.workers, room.workers)),
        _frame("Rates · last minute", _rates(look, max(10, min(HISTORY, width - 48)))),
        _side_by_side(
            left,
            right,
            _frame("Latency · last 10 s", _latencies(look.latencies_s), room.middle),
            _frame("Waiting", _waiting(look, room.middle), room.middle),
        ),
        _side_by_side(
            left,
            right,
            _frame(_triton_title(look), _models(look), room.faults),
            _frame("Faults · since start", _faults(look, right - 4, room.faults), room.faults),
        ),
    )


def _frame(title: str | Text, body: RenderableType, lines: int | None = None) -> Panel:
    heading = Text(title, "bold") if isinstance(title, str) else title
    height = None if lines is None else lines + 2
    return Panel(body, title=heading, title_align="left", box=ROUNDED, border_style=FRAME, padding=(0, 1), height=height)


def _side_by_side(left: int, right: int, one: RenderableType, other: RenderableType) -> Table:
    columns = Table.grid(expand=True)
    columns.add_column(width=left)
    columns.add_column(width=right)
    columns.add_row(one, other)
    return columns


def _table(*justify: str, headings: Sequence[str] = ()) -> Table:
    """A table without lines: `left` columns share the room and are cut, `right` ones hold numbers."""
    table = Table(box=None, expand=True, show_header=bool(headings), header_style=QUIET, padding=(0, 1, 0, 0), pad_edge=False)
    for index, side in enumerate(justify):
        heading = Text(headings[index]) if headings else ""
        if side == "left":
            table.add_column(heading, ratio=1, no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    return table


def _header(look: Look) -> RenderableType:
    ready = sum(worker.state == "ready" for worker in look.workers)
    row = Table.grid(expand=True)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    summary = Text(f"{ready} of {len(look.workers)} workers ready", "green" if ready == len(look.workers) else "yellow")
    summary.append(f"   {clock(look.at_ms, look.at_ms)} ", QUIET)
    row.add_row(Text(" Portrait", "bold").append(f"  {shown(look.folder, 60)}", f"not bold {QUIET}"), summary)
    return row


def _workers(workers: Sequence[Worker], room: int) -> RenderableType:
    if not workers:
        return Text("No worker has announced itself in this folder: start one with `portrait run ROLE`.", QUIET)
    table = _table(
        "left", "right", "right", "right", "right", "right",
        headings=("", "partitions", "messages/s", "commit p50", "p95", "p99"),
    )  # fmt: skip
    cut = len(workers) > room
    ordered = sorted(workers, key=lambda worker: worker.state == "ready") if cut else workers
    for worker in ordered[: room - cut]:
        mark, style = STATE.get(worker.state, DOWN)
        name = Text(f"{mark} ", style).append(shown(worker.name, 40), "default")
        if worker.state != "ready":
            name.append(f"  {worker.state}", style).append("  ").append(shown(worker.detail, 80), QUIET)
        partitions = str(worker.partitions) if worker.partitions else "–"
        table.add_row(name, partitions, number(worker.messages_per_s), *_three(worker.commit_s))
    if cut:
        return Group(table, Text(f"… and {len(workers) - room + 1} more", QUIET))
    return table


def _three(quantiles: Quantiles) -> tuple[str, str, str]:
    return duration(quantiles.p50), duration(quantiles.p95), duration(quantiles.p99)


def _rates(look: Look, cells: int) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, (words, style) in RATE_NAMES.items():
        values = look.history.get(name, ())
        known = [value for value in values if value is not None]
        peak = f"peak {number(max(known))}" if known else ""
        now = number(look.rates_per_s.get(name), " /s")
        table.add_row(
            Text(words.ljust(14)), Text(now.rjust(10), "bold"), Text(sparkline(values, cells), style), Text(peak, QUIET)
        )
    return table


def _latencies(latencies: Mapping[str, Quantiles]) -> RenderableType:
    table = _table("left", "right", "right", "right", headings=("", "p50", "p95", "p99"))
    for name, quantiles in latencies.items():
        table.add_row(shown(name, 30), *(value.rjust(7) for value in _three(quantiles)))
    return table


def _waiting(look: Look, room: int) -> RenderableType:
    table = _table("left", "right")
    table.add_row("narrator: users in the queue", f"{look.narrator_queue_users:,}")
    pending = sum(model.pending for model in look.triton.models)
    table.add_row("Triton: requests pending", f"{pending:,}")
    behind = sorted(look.lag_messages.items(), key=lambda pair: -pair[1])
    for place, messages in behind[: room - 2]:
        table.add_row(Text(shown(place, 40)), Text(f"{messages:,}", "yellow" if messages else "default"))
    return table


def _triton_title(look: Look) -> Text:
    mark, style = STATE.get(look.triton.state, DOWN)
    return Text("Triton ", "bold").append(mark, style)


def _models(look: Look) -> RenderableType:
    if not look.triton.models:
        return Text(shown(f"{look.triton.state}: {look.triton.detail}", 200), QUIET)
    table = _table("left", *["right"] * 5, headings=("", "req/s", "batch", "queue", "compute", "failed"))
    for model in look.triton.models:
        table.add_row(shown(model.name, 20), *_model_cells(model))
    return table


def _model_cells(model: Model) -> tuple[str | Text, ...]:
    failures = Text(f"{model.failures:,}", "red" if model.failures else "default")
    times = duration(model.queue_s), duration(model.compute_s)
    return number(model.requests_per_s), number(model.mean_batch), *times, failures


def _faults(look: Look, width: int, room: int) -> RenderableType:
    table = _table("left", "right")
    kinds = list(look.dead_letters.items())
    listed = kinds[: room - FEWEST_FAULTS]
    others = ", ".join(f"{reason} {count:,}" for reason, count in kinds[len(listed) :])
    table.add_row(
        Text("dead letters").append(f"  {shown(others, width)}" if others else "", QUIET),
        _count(sum(look.dead_letters.values())),
    )
    for reason, count in listed:
        table.add_row(Text(f"  {shown(reason, width)}", QUIET), f"{count:,}")
    aborts, retries = sum(look.aborts.values()), sum(look.retries.values())
    table.add_row("aborted transactions", _count(aborts))
    table.add_row("retried batches", _count(retries))
    if look.sentences:
        by_llm = look.sentences.get("llm", 0) / sum(look.sentences.values())
        table.add_row("sentences by the LLM", f"{by_llm:.0%}")
    return table


def _count(count: int) -> Text:
    return Text(f"{count:,}", "yellow" if count else "default")
