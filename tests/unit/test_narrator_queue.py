"""The narrator's queue: how full it may be, that reading pauses, that whatever the lag every latest request is answered."""

import random
from collections.abc import Iterable, Sequence

import pytest

from consumers.inference import Generation
from consumers.narrator import Narrator
from consumers.runtime.processor import Record
from schemas import metrics
from tests.unit.profile_cases import facts, request
from tests.unit.test_narrator import DRAMA, PART_0, TRUE_TEXT, Model, new_narrator, profiles, record, turn


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def narrator(model: Model) -> Narrator:
    return new_narrator(model)


def test_reading_pauses_while_the_queue_is_full(narrator: Narrator, model: Model) -> None:
    records = [record(number, request(f"u{number}", DRAMA)) for number in range(3)]
    assert turn(narrator, *records[:2]).pause is False
    assert turn(narrator, records[2]).pause is True
    model.answer(TRUE_TEXT)
    turn(narrator)
    assert turn(narrator).pause is False


def answer_ages(model: Model) -> None:
    """Answer all that is asked of an age, which is remembered for its user alone."""
    for prompt, _, future in model.asked:
        if not future.done():
            age = prompt.split("age: ")[1].split("<")[0]
            future.set_result(Generation(f"This user is {age} years old.", 8, 0.1, "stop"))


def newest(log: Sequence[Record]) -> Iterable[Record]:
    return {entry.key: entry for entry in log}.values()


def test_whatever_the_lag_the_queue_is_bounded_and_every_latest_request_is_answered(model: Model) -> None:
    """Reads a long log as the worker does: in batches, and not while told to pause. Some users ask again and again."""
    narrator, chance, batch, limit = new_narrator(model, queue_limit=8), random.Random(5), 4, 8
    log = [record(n, request(f"u{chance.randrange(60)}", facts(age=str(n)), requested_at_ms=n)) for n in range(300)]
    latest = {entry.key: f"{entry.key}-{entry.offset}" for entry in log}
    answered: dict[str, str] = {}
    read, paused, pauses, most = 0, False, 0, 0
    for _ in range(2000):
        given = [] if paused else log[read : read + batch]
        read += len(given)
        outputs = turn(narrator, *given)
        answered |= {profile.user_id: profile.request_id for profile in profiles(outputs)}
        waiting = [entry.offset for entry in newest(log[:read]) if answered.get(entry.key) != f"{entry.key}-{entry.offset}"]
        assert outputs.hold == ({PART_0: min(waiting)} if waiting else {}), "nothing unanswered is committed"
        pauses += outputs.pause and not paused
        paused, most = outputs.pause, max(most, int(metrics.NARRATOR_QUEUE._value.get()))
        answer_ages(model)
    assert read == len(log) and answered == latest
    assert most <= limit + batch - 1 and pauses > 10


def test_large_requests_fill_the_queue_by_their_size(model: Model) -> None:
    narrator, chance = new_narrator(model, queue_limit=1000, queue_mb=1), random.Random(1)
    paused_after = 0
    for number in range(200):
        noise = [f"{chance.getrandbits(800):0200x}" for _ in range(100)]
        statements = [DRAMA[0].model_copy(update={"evidence": noise})]
        paused_after = number
        if turn(narrator, record(number, request(f"u{number}", statements))).pause:
            break
    assert 50 < paused_after < 150, "20 KB each, packed to about half of it"
