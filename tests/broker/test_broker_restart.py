"""The broker is stopped under load and comes back: the worker goes on by itself and counts every event once."""

import time
from pathlib import Path

from deploy.local.stack import local_stack
from deploy.topics import ensure_topics
from schemas.settings import RuntimeSettings
from tests.broker.counter import EventCounter
from tests.broker.test_runtime import counts, new_users, running, send_events
from tests.conftest import fresh_settings

OUTAGE_S = 5.0


def test_a_stopped_broker_that_comes_back_loses_and_doubles_nothing(needs_java: None, tmp_path: Path) -> None:
    users = new_users(20)
    base = fresh_settings().model_copy(update={"runtime": RuntimeSettings(folder=tmp_path)})
    with local_stack(tmp_path / "stack", base, triton=False) as stack:
        ensure_topics(stack.settings)
        with running(EventCounter(), stack.settings):
            for round_number in range(2):
                send_events(stack.settings, users, 20, f"before-{round_number}")
                stack.kafka.stop()
                time.sleep(OUTAGE_S)
                stack.kafka.start()
                send_events(stack.settings, users, 20, f"after-{round_number}")
                wanted = 40 * (round_number + 1)
                assert counts(stack.settings, users, wanted * len(users), timeout_s=60) == dict.fromkeys(users, wanted)
