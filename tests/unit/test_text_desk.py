"""profile_llm's desk: who goes first, who is turned away, what is written once only, what is remembered."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"))
GREEDY = {"max_tokens": 9, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": ()}


class Asker:
    """Stands for a request: Triton gives them out only inside a server."""

    def __init__(self, text: str, priority: int = 0, streamed: bool = False, **sampling: Any) -> None:
        self.text, self.priority, self.streamed, self.sampling = text, priority, streamed, GREEDY | sampling
        self.answers: list[tuple[str, str, int]] = []
        self.refusals: list[str] = []
        self.cancelled = False

    def is_cancelled(self) -> bool:
        return self.cancelled

    def answer(self, text: str, finish_reason: str, tokens: int) -> None:
        self.answers.append((text, finish_reason, tokens))

    def refuse(self, message: str) -> None:
        self.refusals.append(message)


@pytest.fixture
def desk_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module without Triton's, of which it needs nothing but the name of a type."""
    import types

    monkeypatch.setitem(sys.modules, "prompt", types.SimpleNamespace(Prompt=Asker))  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    import desk  # type: ignore[import-not-found]

    yield desk
    sys.modules.pop("desk", None)


def taken(desk: Any) -> list[str]:
    """What is handed out, in order."""
    texts = []
    while text := desk.take(0):
        texts.append(text.prompt)
    return texts


def test_the_most_urgent_goes_first_and_equals_in_their_order(desk_module: Any) -> None:
    desk = desk_module.Desk(9, 1000)
    for text, priority in [("backfill 1", 5), ("backfill 2", 5), ("edit", 0), ("fresh", 1)]:
        desk.ask(Asker(text, priority))
    assert taken(desk) == ["edit", "fresh", "backfill 1", "backfill 2"]
    assert desk.waiting == 0


def test_a_full_queue_turns_the_least_urgent_away(desk_module: Any) -> None:
    desk = desk_module.Desk(2, 1000)
    first, second, third, urgent = Asker("a", 5), Asker("b", 5), Asker("c", 5), Asker("d", 0)
    for asker in (first, second, third, urgent):
        desk.ask(asker)
    assert [len(asker.refusals) for asker in (first, second, third, urgent)] == [0, 1, 1, 0]
    assert second.refusals[0].startswith("unavailable:")
    assert taken(desk) == ["d", "a"]
    desk.ask(again := Asker("b", 5))  # whom nothing keeps from asking again
    assert (taken(desk), again.refusals) == (["b"], [])


def test_the_same_prompt_is_written_once_for_all_who_ask(desk_module: Any) -> None:
    desk = desk_module.Desk(9, 1000)
    askers = [Asker("same", 5), Asker("other", 3), Asker("same", 1, streamed=True)]
    for asker in askers:
        desk.ask(asker)
    text = desk.take(0)
    assert (text.prompt, text.prompts, text.streamed) == ("same", [askers[0], askers[2]], True)  # as urgent as its most urgent
    desk.ask(late := Asker("same"))
    assert taken(desk) == ["other"]
    askers[0].cancelled = askers[2].cancelled = True
    assert not text.is_cancelled()
    late.cancelled = True
    assert text.is_cancelled()
    assert desk.close(text, desk_module.Written("t", "stop", 3)) == [askers[0], askers[2], late]
    assert (desk.counts.written, desk.counts.joined, desk.counts.cached) == (1, 2, 0)


def test_a_text_is_remembered_for_the_same_question_only(desk_module: Any) -> None:
    desk = desk_module.Desk(9, 10_000)
    desk.ask(Asker("q"))
    desk.close(desk.take(0), desk_module.Written("t", "stop", 3))
    desk.ask(again := Asker("q", top_p=0.5, seed=4))  # which do not matter at temperature 0
    assert (again.answers, taken(desk)) == ([("t", "stop", 3)], [])
    others = [Asker("q", max_tokens=8), Asker("q", stop=("\n",)), Asker("q", temperature=0.1), Asker("q", temperature=0.1)]
    for asker in others:
        desk.ask(asker)
    assert taken(desk) == ["q"] * 4
    assert (desk.counts.cached, desk.counts.joined) == (1, 0)


def test_a_text_that_was_given_up_is_not_remembered(desk_module: Any) -> None:
    desk = desk_module.Desk(9, 10_000)
    desk.ask(first := Asker("q"))
    assert desk.close(desk.take(0)) == [first]
    desk.ask(Asker("q"))
    assert taken(desk) == ["q"]
    assert desk.counts.written == 0


def test_what_is_remembered_is_bounded_in_bytes(desk_module: Any) -> None:
    entry = desk_module.size(desk_module.Written("文" * 100, "stop", 1))
    cache = desk_module.OutputCache(3 * entry)
    for number in range(5):
        cache.put(bytes([number]), desk_module.Written("文" * 100, "stop", number))
        cache.get(b"\x00")
    assert cache.used_bytes == 3 * entry
    assert [number for number in range(5) if cache.get(bytes([number]))] == [0, 3, 4]  # the ones used last
    cache.put(b"x", desk_module.Written("y" * 4 * entry, "stop", 1))
    assert cache.used_bytes == 0
    assert cache.get(b"x") is None
