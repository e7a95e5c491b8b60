"""`portrait dead-letters list | show | replay`: what was refused, why, and its way back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.command_output import console, ended_by_errors, reading_progress, say, say_json
from schemas.errors import ConfigError, PortraitError
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.dead_letter_replay import Plan
    from deploy.dead_letter_sender import Sent
    from deploy.dead_letters import Choice, Letter, Place
    from deploy.replay_progress import Progress
    from deploy.state_log import Tick

REFUSED = 1
ABORTED = 1

Reason = Annotated[str | None, typer.Option(help="only letters of this reason, as not_json or key_mismatch")]
SourceTopic = Annotated[str | None, typer.Option(help="only letters from this source topic")]
Since = Annotated[str | None, typer.Option(help="only letters from then on: 90s, 15m, 6h, 2d, or 2026-01-31T08:00 (UTC)")]
PLACE_HELP = "PARTITION@OFFSET, as `list` shows it"

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="dead-letters", help="Messages that were refused: list them, look at one, send them again.")


def _settings() -> Settings:
    from deploy.local.record import running_stack

    return running_stack(load_settings())


def _choice(reason: str | None, topic: str | None, since: str | None) -> "Choice":
    from deploy.dead_letters import Choice, since_ms

    return Choice(reason, topic, None if since is None else since_ms(since, time.time_ns() // 1_000_000))


def _topic_length(settings: Settings) -> int:
    from deploy.reading import log_bounds
    from deploy.state_log import log_length
    from schemas.topics import DEAD_LETTERS

    return log_length(log_bounds(settings.kafka, (DEAD_LETTERS,)))


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="the newest so many")] = 20,
    reason: Reason = None,
    topic: SourceTopic = None,
    since: Since = None,
    as_json: Annotated[bool, typer.Option("--json", help="a line of JSON each, with the payload as base64")] = False,
) -> None:
    """List the newest dead letters, newest first."""
    from deploy.dead_letter_view import letter_fields, letters_table
    from deploy.dead_letters import newest

    settings, choice = _settings(), _choice(reason, topic, since)
    with ended_by_errors(), reading_progress(_topic_length(settings), "dead-letters") as tick:
        letters = newest(settings.kafka, choice, limit, tick)
    if as_json:
        for letter in letters:
            say_json(letter_fields(letter))
        return
    if not letters:
        say("there is no such dead letter" if not choice.everything else "there are no dead letters")
        return
    screen = console()
    screen.print(letters_table(letters, screen.width))


@app.command()
def show(
    place: Annotated[str, typer.Argument(metavar="PARTITION@OFFSET", help=PLACE_HELP)],
    raw: Annotated[Path | None, typer.Option(metavar="FILE", help="write the payload there, exactly as it came")] = None,
) -> None:
    """Show all of one dead letter: reason, source, headers and the whole payload, as text or as a hex dump."""
    from deploy.dead_letter_view import letter_lines
    from deploy.dead_letters import Place, letters_at

    with ended_by_errors():
        (letter,) = letters_at(_settings().kafka, [Place.parse(place)])
    if raw is not None:
        if letter.value is None:
            raise ConfigError(f"dead letter {place} has no payload: its value is null")
        try:
            raw.write_bytes(letter.value)
        except OSError as error:
            raise ConfigError(f"cannot write {raw}: {error.strerror}") from error
        say(f"{letter.size_bytes} bytes written to {raw}")
        return
    for line in letter_lines(letter):
        typer.echo(line)


@app.command()
def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="[PARTITION@OFFSET]…", help=PLACE_HELP)] = None,
    everything: Annotated[bool, typer.Option("--all", help="every dead letter there is now")] = False,
    reason: Reason = None,
    topic: SourceTopic = None,
    since: Since = None,
    to: Annotated[str | None, typer.Option(metavar="TOPIC", help="send there instead of to each letter's source")] = None,
    again: Annotated[bool, typer.Option(help="also messages that a replay sent and that failed again")] = False,
    dry_run: Annotated[bool, typer.Option(help="say what would be sent, and send nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Send dead letters again, byte for byte, to the topics they came from.

    Choose them by place, by --reason, --topic and --since, or with --all. The letters stay: replaying twice sends twice. A
    replay that was stopped goes on where it was when the same command is given again, and sends nothing twice. Left out are
    letters of messages that a replay sent and that failed again (--again takes them), letters of users erased since, and
    letters that do not say where they came from (--to does). Ends with one line of JSON; the exit status is 1 when a letter
    lacks its source, or its topic refuses it.
    """
    from deploy.dead_letter_replay import NO_SOURCE, erasures, make_plan, require_topics
    from deploy.dead_letter_sender import Sent
    from deploy.dead_letter_view import plan_lines
    from deploy.dead_letters import Place
    from deploy.replay_progress import Progress, name_of

    choice = _choice(reason, topic, since)
    named = sorted({Place.parse(text) for text in places or []})
    if (bool(named), everything, not choice.everything) not in (
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ):
        raise ConfigError("choose letters in one way: PARTITION@OFFSET …, or --reason, --topic and --since, or --all")
    settings = _settings()
    progress = Progress(settings.kafka, name_of([named, reason, topic, since, to, again]))
    with ended_by_errors():
        progress.load()
        read = _reader(settings, named, choice)
        with reading_progress(len(named) or _topic_length(settings), "reading") as tick:
            plan = make_plan(read(tick), erasures(settings), to=to, again=again, passed=progress.has)
        if named and plan.sourceless:
            raise ConfigError(
                f"dead letter {plan.sourceless[0]} does not say where it came from; name a topic with --to TOPIC"
            )
        require_topics(settings.kafka, plan.topics())
        for line in plan_lines(plan):
            say(line)
        if plan.targets and not dry_run and not yes and not typer.confirm("send them?", err=True):
            raise typer.Exit(ABORTED)
        sent = Sent() if dry_run else _send(settings, read, plan, progress)
    say_json(
        {
            "report": "dead-letters-replay",
            "dry_run": dry_run,
            "planned": len(plan.targets),
            "sent": sent.letters,
            "bytes": plan.size_bytes,
            "topics": plan.topics(),
            "left_out": dict(plan.left_out),
            "refused": [str(place) for place in sent.refused],
        }
    )
    if plan.left_out[NO_SOURCE] or sent.refused:
        raise typer.Exit(REFUSED)


def _reader(settings: Settings, named: "list[Place]", choice: "Choice") -> "Callable[[Tick | None], Iterator[Letter]]":
    """What reads the chosen letters, each time anew: a plan is made first, and a topic may be larger than memory."""
    from deploy.dead_letters import all_letters, letters_at

    def read(tick: "Tick | None") -> "Iterator[Letter]":
        if named:
            return letters_at(settings.kafka, named)
        return (letter for letter in all_letters(settings.kafka, tick) if choice.has(letter))

    return read


def _send(settings: Settings, read: "Callable[[Tick | None], Iterator[Letter]]", plan: "Plan", progress: "Progress") -> "Sent":
    from deploy.dead_letter_sender import Sent, send
    from deploy.replay_progress import AnotherRunEnded

    sent = Sent()
    try:
        if plan.targets:
            with reading_progress(len(plan.targets), "sending") as tick:
                send(settings.kafka, read(None), plan, progress, sent, tick, say)
    except AnotherRunEnded:
        raise
    except (KeyboardInterrupt, PortraitError):
        say(f"stopped: {sent.letters} of {len(plan.targets)} letters were sent; the same command goes on from there")
        raise
    progress.forget()
    if gone := len(plan.targets) - sent.letters - len(sent.refused):
        say(f"{gone} letters were deleted before they could be sent, or sent by another run meanwhile")
    return sent
