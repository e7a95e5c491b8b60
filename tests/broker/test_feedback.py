"""The feedback loop on a real broker: lists, impressions and clicks in topics, judged by the command."""

import json

import pytest

from deploy.feedback.run import run
from deploy.local.stack import LocalStack
from producers.publisher import Publisher
from schemas.topics import BEHAVIOR_EVENTS, IMPRESSIONS, RECOMMENDATIONS
from tests.unit.feedback_world import PLACES, World

ROUNDS = 4


def test_lists_are_judged_by_what_is_in_the_topics(
    kafka: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(explore=0.3)
    world.user_ids = [f"feedback-{user_id}" for user_id in world.user_ids]  # the broker is shared with other tests
    lists, impressions, clicks = world.shown(ROUNDS)
    with Publisher(kafka.settings.kafka) as publisher:
        for topic, messages in ((RECOMMENDATIONS, lists), (IMPRESSIONS, impressions), (BEHAVIOR_EVENTS, clicks)):
            for message in messages:
                publisher.send(topic, message.user_id, message)
        publisher.send_raw(IMPRESSIONS, b"feedback-u0", b'{"impression_id": 3}')
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(kafka.settings.kafka.bootstrap_servers))
    run(None, 3600.0, 0)
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert report["lists"] == len(lists) and report["items_shown"] == PLACES * len(lists)
    assert report["left_out"]["malformed in impressions"] == 1
    assert report["policies"]["as logged"]["ips"]["mean"] == pytest.approx(len(clicks) / len(lists), abs=1e-4)
    assert report["policies"]["ranked, nothing by chance"]["snips"]["mean"] > 0
