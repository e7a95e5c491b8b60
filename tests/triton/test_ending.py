"""How the process of each role ends: with status 0 when it is told to, once it does its work."""

from pathlib import Path

import pytest

from deploy.demo.workers import ROLES, Workers
from deploy.local.stack import LocalStack

STOPS = 3


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_is_told_to_end_ends_with_status_0(stack: LocalStack, tmp_path: Path, role: str) -> None:
    runtime = stack.settings.runtime.model_copy(update={"folder": tmp_path})
    workers = Workers(stack.settings.model_copy(update={"runtime": runtime}), tmp_path)
    try:
        for _ in range(STOPS):
            workers.start(role)
            workers.wait_ready(role)
            child = workers._children[role]
            workers.stop_one(role)
            assert child.returncode == 0, child.last_lines()
    finally:
        workers.stop()
