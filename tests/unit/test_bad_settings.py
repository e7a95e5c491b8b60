"""Mistakes that used to end in a traceback, or in somebody else's word taken back."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from consumers.runtime.health import ENDPOINTS_FOLDER, Health
from deploy.cli import app
from producers.dataset import open_dataset
from schemas.settings import RuntimeSettings


def test_a_client_that_cannot_be_made_is_a_sentence_and_status_2() -> None:
    environment = {
        "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PORTRAIT_KAFKA__SECURITY_PROTOCOL": "SSL",
        "PORTRAIT_KAFKA__SSL_CA_LOCATION": "/nonexistent.pem",
    }
    ended = CliRunner().invoke(app, ["dead-letters", "list"], env=environment)
    assert ended.exit_code == 2 and "Kafka's client said" in ended.stderr and "Traceback" not in ended.stderr


def test_a_time_beyond_all_bounds_is_a_bad_row(tmp_path: Path) -> None:
    rows = ["user_id,item_id,event_time_ms,type", "u,a,1700000000000,play", "u,b,99999999999999999999999,play"]
    (tmp_path / "events.csv").write_text("\n".join(rows) + "\n")
    data = open_dataset(tmp_path)
    assert data.times.count == 1 and len(data.bad_rows) == 1


@pytest.mark.parametrize("is_last", [True, False])
def test_a_worker_takes_back_its_own_word_and_nobody_elses(tmp_path: Path, is_last: bool) -> None:
    health = Health(RuntimeSettings(folder=tmp_path), "fold")
    health.start()
    [word] = (tmp_path / ENDPOINTS_FOLDER).iterdir()
    if not is_last:
        word.write_text('{"pid": 1, "url": "http://another"}')
    health.stop()
    assert word.exists() != is_last
