"""The pure parts of the benchmarks: a wrong one would measure something else without anybody noticing."""

import sys
from pathlib import Path

import msgspec

from consumers.runtime.processor import Batch, Record
from tests.benchmarks.bench_core import bytewax_missing, ratio
from tests.benchmarks.latency_client import bare_event_ids, covered_event_ids
from tests.benchmarks.latency_fold import Answer, LatencyFold, Variant, histories
from tests.benchmarks.scale_load import States, load
from tests.benchmarks.scale_load import histories as sent_histories
from tests.benchmarks.tag_fold import HISTORY_LENGTH, SUMMARIES, Event, State, Summary, TagFold, encode, plain_fold


def event(number: int, user: str = "u") -> Event:
    return Event(f"e{number}", user, f"item-{number}", ["t"], 1.0)


def batch(*events: Event) -> Batch:
    records = [Record("fold-events", 0, number, 0, event.user_id, event) for number, event in enumerate(events)]  # type: ignore[arg-type]
    return Batch(records, lambda partition, keys: {})


def test_an_answer_covers_every_event_of_its_user_in_the_batch() -> None:
    outputs = LatencyFold(Variant.WITHOUT_MODEL, None).process(batch(event(1, "a"), event(2, "b"), event(3, "a")))
    answers = {output.key: covered_event_ids(output.message) for output in outputs.records}  # type: ignore[arg-type]
    assert answers == {"a": ["e1", "e3"], "b": ["e2"]}
    assert {output.topic.name for output in outputs.records} == {"latency-answers-without_model"}


def test_the_benchmark_folds_as_the_fold_it_is_compared_with() -> None:
    events = [event(number, f"u{number % 3}") for number in range(200)]
    states = LatencyFold(Variant.WITHOUT_MODEL, None).process(batch(*events)).states
    assert states == {(0, user): encode(state) for user, state in plain_fold(events).items()}
    outputs = TagFold().process(batch(*events))
    assert outputs.states == states
    newest = {output.key: msgspec.json.decode(output.message, type=Summary).event_id for output in outputs.records}  # type: ignore[arg-type]
    assert newest == {"u0": "e198", "u1": "e199", "u2": "e197"}
    assert all(output.topic == SUMMARIES for output in outputs.records)


def test_the_bare_loop_passes_events_on() -> None:
    assert bare_event_ids(encode(event(7))) == ["e7"]
    assert covered_event_ids(encode(Answer(["e1", "e2"], 2, []))) == ["e1", "e2"]


def test_the_model_is_given_the_newest_item_last() -> None:
    rows = histories([State(2, [("e1", "item-5", 1.0), ("e2", "item-9", 1.0)]), State()])
    assert rows.shape == (2, HISTORY_LENGTH)
    assert rows[0].tolist() == [-1] * 48 + [5, 9]
    assert set(rows[1].tolist()) == {-1}


def test_states_in_bulk_are_the_plain_folds_and_repeat_with_the_seed() -> None:
    folded = plain_fold(event for history in sent_histories(20, seed=3) for event in history)
    states = States(20, seed=3)
    assert {f"user-{number}": states[number] for number in range(20)} == {
        user: encode(state) for user, state in folded.items()
    }
    assert all(state.count == HISTORY_LENGTH for state in folded.values())
    assert len({states[number] for number in range(20)}) == 20
    assert States(20, seed=4)[0] != states[0]


def test_under_load_users_take_turns_so_that_nobody_comes_twice_in_a_row() -> None:
    drawn = [event.user_id for event in load(10, 35, seed=1)]
    assert set(drawn[:10]) == set(drawn[10:20]) == {f"user-{number}" for number in range(10)}
    assert drawn[:10] != sorted(drawn[:10])
    assert len(drawn) == 35


def test_a_peer_that_is_not_there_is_left_out_with_the_reason() -> None:
    assert bytewax_missing(Path(sys.executable)) == "ModuleNotFoundError: No module named 'bytewax'"
    rates = {"portrait": [70.0, 80.0], "quix": [20.0, 15.0], "bytewax": []}
    assert ratio(rates, "quix") == 4.0
    assert ratio(rates, "bytewax") is None
