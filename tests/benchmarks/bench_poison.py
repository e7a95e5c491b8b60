"""`make bench-poison`: a million spoilt messages through the border and the fold, in one process, against clean ones.

Every message must be folded or refused with a reason; the rate must stay within twice that of clean input. Both rates are per
second of CPU time, one micro-batch of each in turn; messages are made outside the measured time.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumers.overlay import Touched, fold_batch
from consumers.runtime.processor import Batch, Record, StateKey
from deploy.machine import MachineMeter
from schemas.errors import BadMessage
from schemas.messages import BehaviorEvent
from schemas.settings import FoldSettings
from schemas.topics import MAX_MESSAGE_BYTES
from schemas.wire import dead_letter_headers, decode
from tests.benchmarks.fuzzer import Sent, clean_messages, fuzzed_messages

SLICE = 2000
"""Messages in one micro-batch."""
MAX_RATIO = 2.0


@dataclass
class Outcome:
    """What became of the messages. `crashes` names errors that are no refusal; `oversized` are states no message can hold."""

    messages: int = 0
    folded: int = 0
    dead_letters: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    oversized: int = 0

    @property
    def lost(self) -> int:
        """Messages that were neither folded nor refused, nor crashed on."""
        return self.messages - self.folded - self.dead_letters - len(self.crashes)

    @property
    def messages_per_s(self) -> float:
        """Rate of decode and fold, per second of CPU time."""
        return self.messages / self.seconds


class Border:
    """Decode and fold as the profiler's worker does, with the states in memory."""

    def __init__(self, rules: FoldSettings) -> None:
        self.rules = rules
        self.outcome = Outcome()
        self._states: dict[StateKey, bytes] = {}
        self._erased_at_ms: dict[StateKey, int] = {}

    def take(self, batch: Sequence[Sent]) -> None:
        """One micro-batch."""
        started = time.process_time()
        records = list(self._decoded(batch))
        users: Sequence[Touched] = ()
        try:
            users = self._fold(records)
        except Exception as error:
            self.outcome.crashes += [f"fold: {error!r:.200}"] * len(records)
        self.outcome.messages += len(batch)
        self.outcome.seconds += time.process_time() - started
        self._account(records, users)

    def _decoded(self, batch: Sequence[Sent]) -> Iterator[Record]:
        outcome = self.outcome
        for offset, sent in enumerate(batch, outcome.messages):
            try:
                key, message = decode(sent.topic.name, sent.key, sent.value, sent.headers, sent.timestamp_ms, self.rules)
            except BadMessage as refusal:
                headers = dead_letter_headers(refusal, sent.topic.name, 0, offset, sent.timestamp_ms, sent.headers)
                outcome.dead_letters += bool(headers)
                outcome.reasons[refusal.reason] += 1
            except Exception as error:
                outcome.crashes.append(f"{sent.spoilt}: {error!r:.200}")
            else:
                yield Record(sent.topic.name, 0, offset, sent.timestamp_ms, key, message)

    def _fold(self, records: Sequence[Record]) -> list[Touched]:
        users = fold_batch(Batch(records, self._load), self.rules, self._erased_at_ms)
        for user in users:
            stored = user.stored()
            if stored is None:
                self._states.pop(user.key, None)
            else:
                self._states[user.key] = stored
                self.outcome.oversized += len(stored) > MAX_MESSAGE_BYTES
            if user.erased_at_ms is not None:
                self._erased_at_ms[user.key] = user.erased_at_ms
        return users

    def _account(self, records: Sequence[Record], users: Iterable[Touched]) -> None:
        """Count what was folded: all of a user's records if their events are all accounted for, or went with an erasure."""
        records_of, events_of = Counter[StateKey](), Counter[StateKey]()
        for record in records:
            key = record.partition, record.key
            records_of[key] += 1
            events_of[key] += isinstance(record.message, BehaviorEvent)
        for user in users:
            seen = len(user.events) + user.duplicates + user.late
            if seen == events_of[user.key] or user.key in self._erased_at_ms:
                self.outcome.folded += records_of.pop(user.key)
        self.outcome.folded += sum(number for key, number in records_of.items() if key in self._erased_at_ms)

    def _load(self, partition: int, keys: Sequence[str]) -> Mapping[str, bytes]:
        return {key: self._states[partition, key] for key in keys if (partition, key) in self._states}


def in_slices(messages: Iterable[Sent]) -> Iterator[list[Sent]]:
    """The messages in micro-batches."""
    source = iter(messages)
    while batch := list(islice(source, SLICE)):
        yield batch


def measure(seed: int, number: int, users: int, progress: Progress | None = None) -> tuple[Outcome, Outcome]:
    """Clean and fuzzed messages, a slice of each in turn, so that both meet the same machine."""
    clean, fuzzed = Border(FoldSettings()), Border(FoldSettings())
    task = progress and progress.add_task("messages", total=number)
    slices = zip(in_slices(clean_messages(seed, number, users)), in_slices(fuzzed_messages(seed, number, users)), strict=True)
    for good, bad in slices:
        clean.take(good)
        fuzzed.take(bad)
        if progress is not None and task is not None:
            progress.advance(task, len(bad))
    return clean.outcome, fuzzed.outcome


def report(clean: Outcome, fuzzed: Outcome, seed: int, meter: MachineMeter) -> dict[str, object]:
    """What the last line says."""
    return {
        "report": "bench-poison", "messages": fuzzed.messages, "folded": fuzzed.folded, "dead_letters": fuzzed.dead_letters,
        "crashes": len(fuzzed.crashes) + len(clean.crashes), "lost": fuzzed.lost + clean.lost,
        "oversized_states": fuzzed.oversized,
        "messages_per_s": {"clean": round(clean.messages_per_s), "fuzzed": round(fuzzed.messages_per_s)},
        "ratio": round(clean.messages_per_s / fuzzed.messages_per_s, 3), "reasons": dict(fuzzed.reasons.most_common()),
        "seed": seed, **meter.report(),
    }  # fmt: skip


def faults(clean: Outcome, fuzzed: Outcome) -> list[str]:
    """What must not be, in words."""
    found = [f"crash on {crash}" for crash in dict.fromkeys([*clean.crashes, *fuzzed.crashes])]
    if clean.lost or fuzzed.lost:
        found.append(f"{clean.lost} clean and {fuzzed.lost} fuzzed messages were neither folded nor refused")
    if clean.dead_letters:
        found.append(f"{clean.dead_letters} clean messages were refused: {dict(clean.reasons)}")
    if fuzzed.oversized:
        found.append(f"{fuzzed.oversized} states are larger than a message may be")
    if clean.messages_per_s > MAX_RATIO * fuzzed.messages_per_s:
        found.append(f"spoilt messages take more than {MAX_RATIO:g} times as long as clean ones")
    return found


def main(
    number: Annotated[int, typer.Option("--messages", help="spoilt messages, and as many clean ones")] = 1_000_000,
    users: Annotated[int, typer.Option(help="users they belong to")] = 20_000,
    seed: Annotated[int, typer.Option(help="of the messages")] = 1,
) -> None:
    """Measure, print what is wrong, and end with a line of JSON; exit 1 on a crash, a loss or a ratio above 2."""
    console, meter = Console(stderr=True), MachineMeter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        clean, fuzzed = measure(seed, number, users, progress)
    wrong = faults(clean, fuzzed)
    for fault in wrong:
        console.print(fault, style="red", markup=False)
    print(json.dumps(report(clean, fuzzed, seed, meter)))
    raise typer.Exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
