"""`portrait train` and `portrait models` as a user runs them, with the real text encoder; no server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.local.encoder_versions import EncoderVersions
from schemas.settings import RuntimeSettings, Settings
from tests.unit.training_cases import recorded


@pytest.fixture
def data(tmp_path: Path, needs_triton: None) -> Path:
    folder, world = tmp_path / "walks", recorded()
    folder.mkdir()
    items = [item.model_dump(mode="json", exclude_defaults=True) for item in world.items.values()]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    events = world.interactions
    rows = [
        {
            "user_id": events.user_ids[events.users[place]],
            "item_id": events.item_ids[events.items[place]],
            "event_time_ms": int(events.times_ms[place]),
            "type": "play",
        }
        for place in range(len(events))
    ]
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n")
    return folder


def command(folder: Path, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words), env={"PORTRAIT_RUNTIME__FOLDER": str(folder)})
    return done.exit_code, done.stdout, done.stderr


def test_train_list_activate_and_roll_back(data: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    status, output, _ = command(project, "train", "--data", str(data), "--epochs", "4", "--trials", "2", "--threads", "1")
    assert status == 0, output
    report = json.loads(output.strip().splitlines()[-1])
    assert report["report"] == "train" and report["version"] == 2 and report["bad_rows"] == 1
    assert report["ndcg10"].keys() == {"learned", "plain"} and len(report["tried"]) == 2
    versions = EncoderVersions.of(Settings(runtime=RuntimeSettings(folder=project)))
    names = {path.name for path in versions.path(2).iterdir()}
    assert names == {"model.py", "encoder.pt2", "tensors.txt", "ranker.json", "README.md", "training.json"}
    assert f"{report['ndcg10']['learned']:.4f}" in (versions.path(2) / "README.md").read_text()
    assert any((project / "train" / "runs").rglob("events.out.tfevents*"))
    assert versions.active == (2 if report["activated"] else 1)
    assert command(project, "models", "activate", "2")[0] == 0 and versions.active == 2
    status, output, _ = command(project, "models", "list")
    assert json.loads(output.strip().splitlines()[-1])["active"] == 2
    assert command(project, "models", "rollback")[0] == 0 and versions.active == 1
    status, _, refused = command(project, "models", "activate", "9")
    assert status == 2 and "no version 9" in refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere"), "not a folder"),
        ((), "portrait up"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_a_sentence(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    status, _, refused = command(tmp_path, "train", *words)
    assert status == 2 and said in refused
    assert not (tmp_path / "models").exists()
