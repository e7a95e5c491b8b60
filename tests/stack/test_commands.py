"""The command line where no server is needed: what it says, how it exits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.child import Children
from deploy.local.jars import fetch_jars, jars_folder
from schemas.errors import ConfigError
from schemas.settings import RuntimeSettings, Settings

PORTRAIT = str(Path(sys.executable).with_name("portrait"))
HEAVY = ("torch", "transformers", "confluent_kafka", "numpy", "faiss")


def portrait(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run([PORTRAIT, *arguments], capture_output=True, text=True, timeout=60, check=False, env=env)


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, deploy.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "doctor", "topics", "settings"])
def test_every_command_explains_itself(command: str) -> None:
    shown = portrait(command, "--help")
    assert shown.returncode == 0 and len(shown.stdout.splitlines()) > 5


def test_wrong_setting_is_one_sentence(folder: Path) -> None:
    refused = portrait("status", PORTRAIT_KAFKA__PARTITIONS="none")
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.startswith("setting PORTRAIT_KAFKA__PARTITIONS:") and len(refused.stderr.splitlines()) == 1


def test_settings_are_listed_and_secrets_masked(folder: Path) -> None:
    shown = portrait("settings", PORTRAIT_KAFKA__SASL_PASSWORD="hunter2", PORTRAIT_KAFKA__PARTITIONS="7")
    assert shown.returncode == 0 and "hunter2" not in shown.stdout
    lines = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.startswith("PORTRAIT_")}
    assert lines["PORTRAIT_KAFKA__SASL_PASSWORD"][0] == "********"
    assert lines["PORTRAIT_KAFKA__PARTITIONS"][:2] == ["7", "4"]
    for group, field in Settings.model_fields.items():
        names = type(field.default).model_fields
        assert {f"PORTRAIT_{group}__{name}".upper() for name in names} <= set(lines)


def test_doctor_names_what_is_missing_and_how_to_get_it(folder: Path, tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "JAVA_HOME": "", "PORTRAIT_RUNTIME__CACHE_FOLDER": str(tmp_path / "cache")}
    sick = portrait("doctor", **bare)
    assert sick.returncode == 1
    assert "openjdk-17" in sick.stdout and "apt-get install maven" in sick.stdout
    elsewhere = portrait("doctor", **bare, PORTRAIT_KAFKA__BOOTSTRAP_SERVERS="kafka:9092")
    assert "Java" not in elsewhere.stdout


def test_nothing_running_is_said(folder: Path) -> None:
    assert portrait("status").returncode == 1
    assert "no Kafka address" in portrait("topics").stderr
    assert "has `portrait up` been run here?" in portrait("logs").stderr
    assert portrait("logs", "oracle").returncode == 2


def test_logs_print_the_last_lines_without_control_characters(folder: Path) -> None:
    log = folder / "stack" / "logs" / "kafka.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"".join(b"line %d \x1b[31m[red]\xff\n" % number for number in range(100)))
    shown = portrait("logs", "kafka", "--lines", "2").stdout.splitlines()
    assert [line.split()[1] for line in shown] == ["98", "99"]
    assert "\x1b" not in shown[0] and "[red]" in shown[0]


def test_port_for_a_server_that_is_elsewhere_is_refused(folder: Path) -> None:
    refused = portrait("up", "--kafka-port", "19092", PORTRAIT_KAFKA__BOOTSTRAP_SERVERS="kafka:9092")
    assert refused.returncode == 2 and "--kafka-port" in refused.stderr


@pytest.mark.parametrize("ending", ["exit 1", "kill -9 $$", "true"])
def test_jars_of_an_interrupted_download_are_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    fetch_one = (
        'for word; do case $word in -DoutputDirectory=*) mkdir -p "${word#*=}"; touch "${word#*=}/some.jar";; esac; done'
    )
    maven.write_text(f"#!/bin/sh\n{fetch_one}\n{ending}\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(maven.parent), prepend=os.pathsep)
    settings = Settings(runtime=RuntimeSettings(cache_folder=tmp_path / "cache"))
    with pytest.raises(ConfigError, match="downloading Kafka"):
        fetch_jars(settings, Children(), tmp_path / "maven.log")
    assert not jars_folder(settings).exists() and list((tmp_path / "cache").iterdir()) == []
