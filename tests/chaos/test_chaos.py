"""A short chaos run; `make chaos` is the long one."""

from pathlib import Path

import pytest

from tests.chaos.run import Plan, chaos


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_different_whatever_dies(needs_java: None, tmp_path: Path) -> None:
    # of its faults 3 are the network's, 1 is the broker's, and the rest are deaths of workers
    plan = Plan(minutes=0.7, seed=217, faults=9, users=2000, events_per_s=500.0, pause_s=1.0)
    outcome = chaos(plan, tmp_path)
    assert sum(outcome.faults.values()) >= 9, outcome.faults
    assert outcome.faults.keys() >= {"network cut", "network stall", "network loses answers"}, outcome.faults
    verdict = outcome.verdict
    assert verdict.events == outcome.sent > 10_000
    assert (verdict.lost, verdict.duplicated, verdict.differing) == (0, 0, 0), outcome
    assert verdict.states_checked > verdict.users, "each user has several versions"
    assert verdict.store_entries_checked == verdict.users
    assert outcome.restarted == 0, "no worker ends by itself"
