"""`portrait state get | scan | verify | size`: the users' states, from the changelog or from local stores."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.command_output import console, ended_by_errors, reading_progress, say, say_json
from deploy.user_argument import UserId
from schemas.errors import ConfigError
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.state_log import FoundStore, Tick
    from deploy.state_verify import Comparison

UNKNOWN_USER = 1
DIFFERS = 1
MAX_DIFFERENCES_SHOWN = 10

StoreFolder = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FOLDER",
        help="read local stores instead of the changelog, also while their worker runs: the project's folder, a worker's "
        "(…/state/profiler-0) or one partition's",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="state", help="Look at the users' states: in the changelog, or in local stores.")


def _settings() -> Settings:
    from deploy.local.record import running_stack

    return running_stack(load_settings())


@app.command()
def get(
    user: UserId,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show one user's state, and as of which moment. The exit status is 1 when nothing is known of the user.

    From the changelog it is what is committed now; only the user's partition is read. A store shows its worker's last commit
    at the time of the call.
    """
    from deploy.state_log import state_of
    from deploy.state_view import named, state_view

    with ended_by_errors():
        found = _from_changelog(_settings(), user) if store is None else _from_stores(store, user)
    if found is None:
        place = "on the changelog" if store is None else f"in the stores of {store}"
        say(f"nothing is known of user {user} {place}")
        raise typer.Exit(UNKNOWN_USER)
    moment, where, value = found
    state = state_of(value)
    if isinstance(state, str):
        raise ConfigError(f"the state of {user} ({moment}) cannot be read: {state}")
    if as_json:
        say_json({"user_id": user, **where, "bytes": len(value), "state": named(state)}, indent=2)
    else:
        screen = console()
        screen.print(state_view(user, moment, state, len(value), screen.width))


Found = tuple[str, dict[str, Any], bytes]
"""Where a state is from and as of when, for people and for machines, and the state."""


def _from_changelog(settings: Settings, user: str) -> Found | None:
    from consumers.runtime.packing import unpack
    from deploy.reading import partition_of, read_all
    from deploy.state_log import changelog_bounds, log_length, ticked
    from deploy.state_view import when
    from schemas.topics import USER_STATE

    key = user.encode()
    last = None
    bounds = changelog_bounds(settings.kafka)
    partition = partition_of(user, len(bounds))
    with reading_progress(log_length({partition: bounds[partition]}), f"partition {partition}") as tick:
        for raw in ticked(read_all(settings.kafka, (USER_STATE,), partitions=(partition,)), tick):
            if raw.key == key:
                last = raw
    if last is None or last.value is None:
        return None
    place = f"{last.topic}-{last.partition}@{last.offset}"
    where = {"source": "changelog", "partition": last.partition, "offset": last.offset, "written_ms": last.timestamp_ms}
    return f"committed on the changelog as {place}, {when(last.timestamp_ms)}", where, unpack(last.value)


def _from_stores(folder: Path, user: str) -> Found | None:
    from consumers.runtime.store import StoreReader

    for store in _furthest_stores(folder):
        with StoreReader(store.path) as reader:
            value, offset = reader.get(user.encode()), reader.position().changelog_offset
        if value is not None:
            moment = f"in the store {store.name} as of its last commit before this call, changelog offset {offset}"
            where = {"source": "store", "store": store.name, "partition": store.partition, "changelog_offset": offset}
            return moment, where, value
    return None


def _furthest_stores(folder: Path) -> "list[FoundStore]":
    """By partition, of several workers' stores the one that is furthest: a partition's earlier owner leaves one behind, in
    which users are as they were then, and who was erased since is still there."""
    from consumers.runtime.store import StoreReader
    from deploy.state_log import stores_in

    def reached(store: "FoundStore") -> int:
        with StoreReader(store.path) as reader:
            return reader.position().changelog_offset

    of_partition: dict[int, list[FoundStore]] = {}
    for store in stores_in(folder):
        of_partition.setdefault(store.partition, []).append(store)
    return [stores[0] if len(stores) == 1 else max(stores, key=reached) for _, stores in sorted(of_partition.items())]


@app.command()
def scan(
    prefix: Annotated[str, typer.Option(help="only users whose id begins so")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="stop after so many users")] = None,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the users, a line each, partition by partition; with --json a line of JSON each.

    Of several workers' stores of a partition, which it left behind when it moved, only the one that is furthest is listed.
    """
    from itertools import islice

    from deploy.state_log import state_of, user_name
    from deploy.state_view import SCAN_HEADER, scan_fields, scan_line

    try:
        start = prefix.encode()
    except UnicodeEncodeError:
        raise ConfigError("--prefix is not UTF-8, as every user_id is") from None
    with ended_by_errors():
        if not as_json:
            typer.echo(SCAN_HEADER)
        states = _logged_states(_settings()) if store is None else _stored_states(store)
        matching = ((key, value) for key, value in states if key.startswith(start))
        for key, value in islice(matching, limit):
            fields = scan_fields(user_name(key), len(value), state_of(value))
            if as_json:
                say_json(fields)
            else:
                typer.echo(scan_line(fields))


def _logged_states(settings: Settings) -> Iterator[tuple[bytes, bytes]]:
    from deploy.state_log import changelog_bounds, log_length, read_partition

    for partition, bounds in changelog_bounds(settings.kafka).items():
        with reading_progress(log_length({partition: bounds}), f"partition {partition}") as tick:
            logged = read_partition(settings.kafka, partition, tick=tick)
        for key, _, value in logged.states():
            yield key, value


def _stored_states(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    from consumers.runtime.store import StoreReader

    for store in _furthest_stores(folder):
        with StoreReader(store.path) as reader:
            yield from reader.states()


@app.command()
def verify(
    store: Annotated[Path | None, typer.Option("--store", metavar="FOLDER", help="default: the project's folder")] = None,
    refold: Annotated[bool, typer.Option(help="also fold all inputs again, in plain Python, and compare")] = False,
) -> None:
    """Compare every state, record for record: changelog and local stores, and with --refold a plain fold of the inputs.

    The exit status is 1 when a state differs. A running worker is no obstacle: a store is held against what the changelog
    said at the store's last commit, the plain fold ends where the changelog's last commit did. --refold needs the workers'
    fold settings, and inputs from which nothing was deleted or compacted away. Stores that a moved partition left behind are
    compared too, as their workers go on from them should it come back. Ends with one line of JSON.
    """
    from deploy.state_log import changelog_bounds, log_length, stores_of

    settings = _settings()
    with ended_by_errors():
        stores = stores_of(settings, store)
        if not stores and not refold:
            raise ConfigError(
                f"nothing to compare the changelog with: no store in {settings.runtime.folder}; "
                "give --store FOLDER or --refold"
            )
        bounds = changelog_bounds(settings.kafka)
        _require_partitions(stores, bounds)
        notes, length = _inputs_notes(settings) if refold else ([], 0)
        with reading_progress(log_length(bounds) + length, "states") as tick:
            comparisons = _compare(settings, sorted(bounds), stores, refold, tick)
    _report_verify(comparisons, notes, len(stores), len(bounds), refold)


def _require_partitions(stores: list[Any], bounds: Mapping[int, object]) -> None:
    if strange := sorted({store.partition for store in stores} - bounds.keys()):
        raise ConfigError(f"there are stores of partitions {strange}, but the changelog has only {len(bounds)} partitions")


def _compare(settings: Settings, partitions: list[int], stores: list[Any], refold: bool, tick: "Tick") -> "list[Comparison]":
    from deploy.state_verify import verify_partition

    return [
        comparison
        for number in partitions
        for comparison in verify_partition(
            settings, number, [store for store in stores if store.partition == number], refold=refold, tick=tick
        )
    ]


def _inputs_notes(settings: Settings) -> tuple[list[str], int]:
    """What makes a plain fold doubtful, and how long the inputs are."""
    from deploy.judge import INPUTS
    from deploy.reading import log_bounds
    from deploy.state_log import log_length

    bounds = log_bounds(settings.kafka, INPUTS)
    notes = [
        f"{place.topic}-{place.partition} begins at offset {start}: the plain fold cannot know what was deleted before it"
        for place, (start, _) in bounds.items()
        if start
    ]
    return notes, log_length(bounds)


def _report_verify(comparisons: "list[Comparison]", notes: list[str], stores: int, partitions: int, refold: bool) -> None:
    from deploy.state_view import difference_lines, verify_table

    screen = console()
    screen.print(verify_table(comparisons))
    differing = sum(row.differing for row in comparisons)
    named = [found for row in comparisons for found in row.differences][:MAX_DIFFERENCES_SHOWN]
    if differing:
        screen.print(f"{differing} differ; the first {len(named)}:", style="bold red")
    for line in difference_lines(named):
        screen.print(line, soft_wrap=True)
    for note in notes:
        say(note)
    folded = [row for row in comparisons if row.against == "plain fold"]
    stored = [row for row in comparisons if row.against != "plain fold"]
    say_json(
        {
            "report": "state-verify",
            "partitions": partitions,
            "stores": stores,
            "store_users": sum(row.other for row in stored),
            "store_users_not_known": sum(row.unknown for row in stored),
            "refold": refold,
            "refold_users": sum(row.other for row in folded),
            "inputs_trimmed": len(notes),
            "differing": differing,
            "differing_users": sorted({found.user_id for found in named}),
        }
    )
    if differing:
        raise typer.Exit(DIFFERS)


@app.command()
def size(store: StoreFolder = None) -> None:
    """Show how large states are, per partition: of users, in the changelog, and in local stores.

    Of users: unpacked. Log bytes are keys and values, packed, of the committed records still in the log, before Kafka's own
    compression; live bytes are what a complete compaction would leave of them. Stores on disk are all there are, with those
    that a moved partition left behind. Ends with one line of JSON.
    """
    from deploy.state_log import changelog_bounds, log_length, read_partition, stores_of
    from deploy.state_size import size_of, total
    from deploy.state_view import size_table

    settings = _settings()
    with ended_by_errors():
        stores = stores_of(settings, store)
        bounds = changelog_bounds(settings.kafka)
        _require_partitions(stores, bounds)
        with reading_progress(log_length(bounds), "changelog") as tick:
            sizes = {str(number): size_of(read_partition(settings.kafka, number, tick=tick), stores) for number in bounds}
    whole = total(list(sizes.values()))
    console().print(size_table({**sizes, "all": whole}))
    by_partition = {name: part.as_report() for name, part in sizes.items()}
    say_json({"report": "state-size", **whole.as_report(), "stores": len(stores), "partitions": by_partition})
