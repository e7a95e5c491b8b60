"""Spoilt messages, the short version of `make bench-poison`: no crash, none lost, none that fills a state."""

from schemas.settings import FoldSettings
from tests.benchmarks.bench_poison import Border, Outcome, faults, measure
from tests.benchmarks.fuzzer import SHARES, fuzzed_messages


def test_twenty_thousand_spoilt_messages_are_folded_or_refused() -> None:
    clean, fuzzed = measure(seed=7, number=20_000, users=500)
    wrong = [fault for fault in faults(clean, fuzzed) if "as long as" not in fault]  # a busy machine says nothing of rates
    assert not wrong
    assert fuzzed.messages == fuzzed.folded + fuzzed.dead_letters == 20_000
    assert min(fuzzed.folded, fuzzed.dead_letters) > 3000
    assert len(fuzzed.reasons) >= 9


def test_the_fuzzer_gives_the_same_messages_for_the_same_seed() -> None:
    assert list(fuzzed_messages(3, 500, 20)) == list(fuzzed_messages(3, 500, 20)) != list(fuzzed_messages(4, 500, 20))
    assert {sent.spoilt for sent in fuzzed_messages(3, 5000, 20)} == set(SHARES)


def test_a_crash_and_a_loss_are_found() -> None:
    good = Border(FoldSettings())
    good.take(list(fuzzed_messages(3, 100, 5)))
    wrong = Outcome(messages=100, folded=98, dead_letters=0, seconds=good.outcome.seconds, crashes=["bytes: KeyError('x')"])
    assert wrong.lost == 1
    assert len(faults(good.outcome, wrong)) >= 2
