"""A user_id that no message could carry is refused in one sentence, before anything is asked of Kafka."""

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from schemas.messages import EraseControl

COMMANDS = (["watch", "--once"], ["ask"], ["state", "get"])
NOWHERE = {"PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}


@pytest.mark.parametrize("user", ["\udcff", "", "u" * 129, "a\nb", "\x1b[2J"], ids=ascii)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_user_id_is_one_sentence_and_status_2(command: list[str], user: str) -> None:
    ended = CliRunner().invoke(app, [*command, "--", user], env=NOWHERE)
    assert ended.exit_code == 2 and ended.stderr.count("\n") == 1
    assert "is no user_id" in ended.stderr and "\x1b" not in ended.stderr and len(ended.stderr) < 160


@pytest.mark.parametrize("user", ["u" * 128, "用户", "[red]"])
def test_what_a_message_can_carry_is_taken(user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.reading.REQUEST_TIMEOUT_S", 0.2)
    assert EraseControl(user_id=user, issued_at_ms=0).user_id == user
    assert "is no user_id" not in CliRunner().invoke(app, ["state", "get", user], env=NOWHERE).stderr
