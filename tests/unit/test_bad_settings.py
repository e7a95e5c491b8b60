"""Mistakes that used to end in a traceback."""

from pathlib import Path

from typer.testing import CliRunner

from deploy.cli import app
from producers.dataset import open_dataset


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
