"""What a process learns anew from states: what was learnt live of the same events, once, and a little at a time."""

import itertools
import random
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from consumers import relearning
from consumers.catalogue import Catalogue
from consumers.fold import fold
from consumers.meetings import learn_from
from consumers.relearning import USERS_AT_ONCE, Relearning
from consumers.runtime.processor import Batch, Record
from schemas.messages import BehaviorEvent
from schemas.metrics import USERS_RELEARNT
from schemas.settings import FoldSettings
from schemas.state import UserState, decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS
from tests.unit.synthetic import HOUR_MS, NOW_MS, TYPE_WEIGHTS, shop
from tests.unit.test_profiler import Site

USERS = 60


def happened(seed: int = 1) -> list[BehaviorEvent]:
    """A few events of each user, in the order of time; of so few items that no pair is forgotten."""
    chance = random.Random(seed)
    return [
        BehaviorEvent(
            event_id=f"e{number}",
            user_id=f"user-{chance.randrange(USERS)}",
            item_id=f"sports-{chance.randrange(10)}" if chance.random() < 0.7 else f"music-{chance.randrange(10)}",
            type=chance.choice(["view", "like", "purchase", "skip"]),
            event_time_ms=NOW_MS + number * HOUR_MS,
        )
        for number in range(USERS * 10)
    ]


class World:
    """Users' states by partition, as a worker's stores have them."""

    def __init__(self, *partitions: int) -> None:
        self.partitions = frozenset(partitions)
        self.states: dict[str, bytes] = {}
        self.loaded: list[str] = []

    def fold(self, events: Sequence[BehaviorEvent], live: Catalogue | None = None) -> None:
        """Fold them one by one; `live` learns from each as it comes."""
        for event in events:
            known = self.states.get(event.user_id)
            state = UserState() if known is None else decode_state(known)
            fold(state, BEHAVIOR_EVENTS.name, event, FoldSettings())
            self.states[event.user_id] = encode_state(state)
            if live is not None:
                learn_from([([event], state)], live, TYPE_WEIGHTS)

    def load(self, partition: int, keys: Sequence[str]) -> Mapping[str, bytes]:
        assert partition in self.partitions
        self.loaded += keys
        return {key: self.states[key] for key in keys if key in self.states}

    def sample(self, partition: int) -> Sequence[str]:
        assert partition in self.partitions
        return sorted(self.states)

    def batch(self, *records: Record) -> Batch:
        return Batch(records, self.load, self.partitions, self.sample)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every turn ends after its first users."""
    monkeypatch.setattr(relearning, "IDLE_SLICE_S", 0.0)
    monkeypatch.setattr(relearning, "BUSY_SLICE_S", 0.0)


def learner(catalogue: Catalogue) -> Relearning:
    return Relearning(catalogue, TYPE_WEIGHTS, time.monotonic)


def assert_same(one: Catalogue, other: Catalogue) -> None:
    size = len(one)
    np.testing.assert_allclose(one.popularity.shares(size), other.popularity.shares(size), rtol=1e-6)
    np.testing.assert_allclose(one.returns.shares(size), other.returns.shares(size), rtol=1e-6)
    assert one.popularity.shares(size).any() and one.returns.shares(size).any()
    pairs = [
        {(row, near): how for row in range(size) for near, how in neighbours(known, row).items()} for known in (one, other)
    ]
    assert pairs[0] and pairs[0] == pytest.approx(pairs[1], rel=1e-4)


def neighbours(catalogue: Catalogue, row: int) -> dict[int, float]:
    rows, closeness = catalogue.covisitation.neighbours(np.array(row))
    return {near: how for near, how in zip(rows.tolist(), closeness.tolist(), strict=True) if near >= 0}


def finish(learning: Relearning, world: World) -> list[str]:
    """Go on for more turns than are needed; gives the users whose states were read."""
    world.loaded.clear()
    for _ in range(USERS):
        learning.go_on(world.batch())
    return world.loaded


def test_states_teach_what_was_learnt_live_of_the_same_events() -> None:
    live, anew, world = shop(), shop(), World(0)
    world.fold(happened(), live)
    read = finish(learner(anew), world)
    assert sorted(read) == sorted(world.states)
    assert_same(live, anew)


def test_a_turn_takes_few_users_while_records_wait_and_more_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relearning, "BUSY_SLICE_S", 1.5)
    monkeypatch.setattr(relearning, "IDLE_SLICE_S", 2.5)
    world, clock = World(0), itertools.count()
    world.fold(happened())
    learning = Relearning(shop(), TYPE_WEIGHTS, lambda: float(next(clock)))
    learning.go_on(world.batch(Record(BEHAVIOR_EVENTS.name, 0, 0, 0, "other", None)))
    assert len(world.loaded) == 2 * USERS_AT_ONCE
    learning.go_on(world.batch())
    assert len(world.loaded) == 5 * USERS_AT_ONCE


def test_a_partition_is_learnt_once_though_it_goes_halfway_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world, anew, before = World(3), shop(), USERS_RELEARNT._value.get()
    world.fold(happened())
    learning = learner(anew)
    learning.go_on(world.batch())
    assert not learning.awaits((3, world.loaded[0])) and learning.awaits((3, max(world.states)))
    world.partitions = frozenset()
    assert len(finish(learning, world)) == 0
    world.partitions = frozenset({3})
    assert len(finish(learning, world)) == USERS - USERS_AT_ONCE
    assert len(finish(learning, world)) == 0
    assert USERS_RELEARNT._value.get() - before == USERS
    assert [record.message for record in caplog.records if f"learnt anew from {USERS} users" in record.message]


def test_who_was_erased_meanwhile_teaches_nothing() -> None:
    world, anew, others = World(0), shop(), shop()
    world.fold(happened())
    learning = learner(anew)
    learning.go_on(world.batch(Record(BEHAVIOR_EVENTS.name, 0, 0, 0, "other", None)))
    gone = max(world.states)
    del world.states[gone]
    finish(learning, world)
    finish(learner(others), world)
    assert_same(anew, others)


def test_a_profiler_that_starts_again_under_way_knows_what_one_that_never_stopped_does() -> None:
    batches = [happened()[start : start + 7] for start in range(0, USERS * 10, 7)]
    steady, stopped = Site(), Site()
    for batch in batches:
        steady.turn(*batch)
    for batch in batches[:40]:
        stopped.turn(*batch)
    again = Site(states=stopped.states)
    for batch in batches[40:]:
        again.turn(*batch)
    for _ in range(USERS):
        again.turn()
    assert_same(steady.profiler._catalogue, again.profiler._catalogue)
