"""`portrait ask` on a real broker: questions in, attributes out, and what was declared before kept."""

import json
import time

import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.cli import app
from deploy.local.stack import LocalStack
from deploy.reading import decoded, read_all
from producers.publisher import Publisher
from producers.shop import Shop
from schemas.messages import ConsentControl, UserAttributes
from schemas.topics import ITEMS, USER_ATTRIBUTES, USER_CONTROLS


@pytest.fixture(scope="module")
def catalogue(kafka: LocalStack) -> None:
    with Publisher(kafka.settings.kafka) as publisher:
        for item in Shop(7, 0).items:
            publisher.send(ITEMS, item.item_id, item)


def ask(kafka: LocalStack, monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str, status: int = 0) -> Result:
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(kafka.settings.kafka.bootstrap_servers))
    result = CliRunner().invoke(app, ["ask", *arguments], input=typed)
    assert result.exit_code == status, result.output
    return result


def messages(kafka: LocalStack, user: str) -> list[object]:
    found = read_all(kafka.settings.kafka, (USER_ATTRIBUTES, USER_CONTROLS), key=user)
    return [decoded(record, kafka.settings.fold)[1] for record in found if record.key == user.encode()]


def test_answers_are_published_and_what_was_declared_is_kept(
    kafka: LocalStack, catalogue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = UserAttributes(
        user_id="ask-1", updated_at_ms=time.time_ns() // 10**6, age=41, language="zh", tags=["科技"], answers={"历史": False}
    )
    with Publisher(kafka.settings.kafka) as publisher:
        publisher.send(USER_ATTRIBUTES, "ask-1", before)
    result = ask(kafka, monkeypatch, "ask-1", "--questions", "3", typed="是\n什么\n否\n\n")
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["language"] == "zh" and report["asked"] == 3
    assert list(report["answers"].values()) == [True, False] and not {"科技", "历史"} & report["answers"].keys()
    assert all(f"你对{tag}感兴趣吗？" in result.stdout for tag in report["answers"])
    after = messages(kafka, "ask-1")[-1]
    assert isinstance(after, UserAttributes)
    assert (after.age, after.tags, after.language) == (41, ["科技"], "zh")
    assert after.answers == {"历史": False, **report["answers"]} and after.updated_at_ms >= before.updated_at_ms


def test_a_new_user_is_asked_in_english_and_may_consent(
    kafka: LocalStack, catalogue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = ask(kafka, monkeypatch, "ask-2", "--grant-profile", typed="y\nn\nq\n")
    assert "Are you interested in" in result.stdout
    attributes, consent = sorted(messages(kafka, "ask-2"), key=lambda message: isinstance(message, ConsentControl))
    assert isinstance(attributes, UserAttributes) and list(attributes.answers.values()) == [True, False]
    assert isinstance(consent, ConsentControl) and consent.granted


def test_nothing_is_sent_when_nothing_was_answered(
    kafka: LocalStack, catalogue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(kafka, monkeypatch, "ask-3", typed="\n\n")
    assert messages(kafka, "ask-3") == []
    assert "en or zh" in ask(kafka, monkeypatch, "ask-3", "--language", "fr", typed="", status=2).stderr
