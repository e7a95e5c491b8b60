"""The feedback loop on a real broker: lists, impressions and clicks in topics, judged by the command."""

import json

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.feedback.run import run
from deploy.local.stack import LocalStack
from deploy.reading import decoded, read_all
from deploy.visits import visits
from producers.publisher import Publisher
from producers.shop import Shop
from schemas.messages import BehaviorEvent, Impression
from schemas.topics import BEHAVIOR_EVENTS, IMPRESSIONS, RECOMMENDATIONS
from tests.unit.feedback_world import PLACES, World
from tests.unit.test_shop_visits import shown

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


def test_visits_without_lists_fail_the_command(kafka: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that goes on to judge the clicks must not take none for an answer."""
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(kafka.settings.kafka.bootstrap_servers))
    monkeypatch.setattr("deploy.produce_commands._visits", lambda shop, rounds: [])
    outcomes = [CliRunner().invoke(app, ["shop", "--users", "2", "--events", "12", *more]) for more in ([], ["--visits", "2"])]
    assert [outcome.exit_code for outcome in outcomes] == [0, 1]
    assert all(json.loads(outcome.stdout.strip().splitlines()[-1])["visits"] == [] for outcome in outcomes)


def test_users_of_the_demo_shop_look_at_each_list_once(kafka: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.visits.SETTLED_S", 1.0)
    shop, settings, said = Shop(users=30), kafka.settings, list[str]()
    item_ids = sorted(item.item_id for item in shop.items)
    lists = {
        user.user_id: shown(user.user_id, item_ids[place : place + 10], f"visited-{place}")
        for place, user in enumerate(shop.users)
    }
    with Publisher(settings.kafka) as publisher:
        for user_id, one in lists.items():
            publisher.send(RECOMMENDATIONS, user_id, one)
        publisher.flush()
        first, second = visits(shop, settings, publisher, 2, said.append)
    assert first.lists == len(lists) and second.lists == 0, "nothing new was made in between"
    records = [one for one in read_all(settings.kafka, [IMPRESSIONS, BEHAVIOR_EVENTS]) if (one.key or b"").decode() in lists]
    sent = [decoded(record, settings.fold)[1] for record in records]
    looks = [one for one in sent if isinstance(one, Impression) and one.list_id.startswith("visited-")]
    events = [one for one in sent if isinstance(one, BehaviorEvent) and (one.list_id or "").startswith("visited-")]
    assert len(looks) == len(lists) and sum(len(one.items) for one in looks) == first.items_seen
    assert len(events) == first.events and first.clicked > 0
