"""profile_llm's worker when a text fails: nobody is left without an answer, and one bad text harms no other."""

import json
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_text_desk import Asker

pytest.importorskip("torch")
FOLDER = Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"
OURS = ("model", "desk", "figures", "prompt")
PARAMETERS = {"max_wait_s": 60, "max_prompt_tokens": 99, "max_new_tokens": 9, "max_waiting": 9, "output_cache_mb": 1}


class TritonError(Exception):
    """Stands for Triton's: it is only there inside a server."""


class Generator:
    """Writes every text in one step, but fails at `bad` ones, at the start for `odd` ones, and always when `broken`."""

    has_room, context_length, broken = True, 99, False

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def tokenize(self, text: str) -> list[str]:
        return [text]

    def start(self, row: Any) -> None:
        if "odd" in row.prompt[0]:
            raise RuntimeError("cannot begin")
        if "long" in row.prompt[0]:
            raise MemoryError
        self.rows.append(row)

    def step(self) -> None:
        if self.broken or any("bad" in row.prompt[0] for row in self.rows):
            raise RuntimeError("cannot write")
        for row in self.abandon():
            row.text, row.finish_reason = row.prompt[0].upper(), "stop"
            row.on_finished(row)

    def generate(self, rows: Sequence[Any], should_stop: Callable[[], bool] = lambda: False) -> None:
        for row in rows:
            self.start(row)
        if self.rows:
            self.step()

    def abandon(self) -> list[Any]:
        rows, self.rows = self.rows, []
        return rows


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A model at work, but for its thread: tests say when it works."""
    log = types.SimpleNamespace(log_error=lambda text: None, log_info=lambda text: None)
    triton = types.SimpleNamespace(Logger=log, TritonModelException=TritonError, MetricFamily=NoMetrics)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "prompt", types.SimpleNamespace(Prompt=Asker))  # type: ignore[arg-type]
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in OURS[:3]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import model as module  # type: ignore[import-not-found]

    monkeypatch.setattr(module, "load_generator", Generator)
    monkeypatch.setattr(module.threading, "Thread", NoThread)
    made = module.TritonPythonModel()
    config = {"parameters": {name: {"string_value": str(value)} for name, value in PARAMETERS.items()}}
    made.initialize({"model_config": json.dumps(config), "model_version": "1"})
    yield made
    for name in OURS[:3]:
        sys.modules.pop(name, None)


class NoMetrics:
    """Metrics of a server that has them turned off."""

    COUNTER, GAUGE = "counter", "gauge"

    def __init__(self, **kwargs: Any) -> None:
        raise TritonError("metrics are off")


class NoThread:
    """A thread that is never run."""

    def __init__(self, **kwargs: Any) -> None:
        pass

    start = join = __init__


def asked(model: Any, *texts: str) -> list[Asker]:
    """Prompts that wait."""
    askers = [Asker(text) for text in texts]
    for asker in askers:
        asker.answered, asker.deadline_s = False, float("inf")  # type: ignore[attr-defined]
        model.desk.ask(asker)
    return askers


def work_once(model: Any) -> None:
    """One turn of the worker."""
    turns = iter([False])
    model.stopping = types.SimpleNamespace(is_set=lambda: next(turns, True))
    model.work()


@pytest.mark.parametrize("failing", ["a bad one", "an odd one"])
def test_a_text_that_fails_by_itself_is_refused_for_good_and_the_others_are_written(model: Any, failing: str) -> None:
    first, bad, last = asked(model, "first", failing, "last")
    work_once(model)
    assert [asker.answers for asker in (first, last)] == [[("FIRST", "stop", 0)], [("LAST", "stop", 0)]]
    assert [refusal[:8] for refusal in bad.refusals] == ["invalid:"]
    assert not model.at_work


def test_a_text_for_which_there_is_no_memory_just_now_may_be_asked_for_again(model: Any) -> None:
    first, long = asked(model, "first", "a long one")
    work_once(model)
    assert first.answers == [("FIRST", "stop", 0)]
    assert [refusal[:12] for refusal in long.refusals] == ["unavailable:"]


def test_while_nothing_can_be_written_texts_may_be_asked_for_again(model: Any) -> None:
    askers = asked(model, "first", "last")
    model.generator.broken = True
    work_once(model)
    assert [[refusal[:12] for refusal in asker.refusals] for asker in askers] == [["unavailable:"]] * 2
    model.generator.broken = False
    [again] = asked(model, "first")
    work_once(model)
    assert again.answers == [("FIRST", "stop", 0)]


def test_whoever_waits_at_the_end_is_told_so(model: Any) -> None:
    """Texts at work, texts that failed together and were not begun again, and those in the queue."""
    at_work, failed, waiting = asked(model, "at work", "failed", "waiting")
    for _ in range(2):
        text = model.desk.take(0)
        model.begin(text, model.admit(text))
    model.generator.rows.pop()
    model.finalize()
    assert [len(asker.refusals) for asker in (at_work, failed, waiting)] == [1, 1, 1]
    assert all("unloaded" in refusal for asker in (at_work, failed, waiting) for refusal in asker.refusals)
