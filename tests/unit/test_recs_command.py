"""`portrait eval recs`: folders it reads, errors it explains, and what it prints."""

import csv
import gzip
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from typer.testing import CliRunner

from deploy.cli import app
from deploy.recs.cuts import LEAVE_ONE_OUT, split_by
from deploy.recs.peers.outside import OutsidePeer
from deploy.recs.recorded import read_folder
from deploy.recs.run import read_seeds
from deploy.recs.side_by_side import gains_of_seeds
from schemas.errors import ConfigError, PortraitError

QUICK = "popularity,popularity-7d,personal-frequency,item-knn"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Forty users of two tastes over a hundred days, in the documented layout with plain column names."""
    folder, source = tmp_path / "corner-shop", np.random.default_rng(2)
    folder.mkdir()
    with (folder / "events.csv").open("w") as file:
        file.write("user_id,item_id,event_time_ms,type,domain\n")
        for user in range(40):
            for _ in range(14):
                item, day = 2 * int(source.integers(10)) + user % 2, int(source.integers(100))
                file.write(f"u{user},i{item},{day * 86_400_000},purchase,ecommerce\n")
    with (folder / "items.csv").open("w") as file:
        file.write("item_id,title,tags,domain\n")
        for item in range(22):
            file.write(f"i{item},<b>Thing {item}</b>,{'odd' if item % 2 else 'even'}|thing,ecommerce\n")
    return folder


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    with gzip.open(folder / "sequences.txt.gz", "wt") as file:
        file.write("\n".join(f"{user} {' '.join(str((user + step) % 9) for step in range(5))}" for user in range(12)))
    (folder / "item_attributes.json").write_text(json.dumps({"1": [7, 8]}))
    return folder


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["eval", "recs", *map(str, arguments)])
    return done.exit_code, done.output


def told(output: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(output.strip().rpartition("\n")[2])
    return report


def test_a_folder_becomes_a_table_a_page_a_csv_and_a_line_of_json(shop: Path, tmp_path: Path) -> None:
    status, output = run("--data", shop, "--models", QUICK, "--out", tmp_path / "page.html", "--csv", tmp_path / "table.csv")
    assert status == 0, output
    report = told(output)
    assert report["report"] == "eval-recs" and report["data"] == "corner-shop" and report["protocol"] == "time-cut"
    assert report["items"] == 22 and report["seeds"] == [1, 2, 3] and report["gain"] is None
    ndcg = report["ndcg10"]
    assert set(ndcg) == set(QUICK.split(","))
    assert ndcg["item-knn"] > ndcg["popularity"]  # people keep to their taste
    assert report["best_peer"] == max(ndcg, key=ndcg.__getitem__)
    written = (tmp_path / "page.html").read_text()
    assert "<svg" in written and "corner-shop" in written and "http:" not in written
    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert {line["model"] for line in lines} == set(ndcg)
    assert "item-knn" in output and "NDCG@10" in output


def test_seeds_side_by_side_give_what_they_give_one_after_another(shop: Path, tmp_path: Path) -> None:
    arguments = ("--data", shop, "--models", "popularity,portrait", "--seeds", "3,1", "--out", tmp_path / "p.html")
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))  # as each of two processes has
    try:
        status, output = run(*arguments, "--jobs", "1")
    finally:
        torch.set_num_threads(threads)
    assert status == 0, output
    _, output_of_two = run(*arguments, "--jobs", "2")
    assert "portrait, seed 3: " in output and "portrait, 2 seeds: " not in output
    assert "portrait, 2 seeds: " in output_of_two and "portrait, seed 3: " not in output_of_two
    alone, together = told(output), told(output_of_two)
    assert alone["jobs"] == 1 and together["jobs"] == 2
    assert together["ndcg10_by_seed"]["portrait"] == pytest.approx(alone["ndcg10_by_seed"]["portrait"], abs=1e-4)
    assert len(set(together["ndcg10_by_seed"]["portrait"])) == 2
    assert no_process_is_left()


def no_process_is_left(within_s: float = 5.0) -> bool:
    """Also when another thread, the pool's own, is just taking note of its end."""
    deadline = time.monotonic() + within_s
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not multiprocessing.active_children()


def test_a_seed_that_fails_in_its_process_is_told_and_leaves_none(shop: Path) -> None:
    split = split_by(LEAVE_ONE_OUT, read_folder(shop).interactions)
    fails = OutsidePeer("als", [{}], Path("/bin/false"))
    with pytest.raises(PortraitError, match="the peer als failed in its process"):
        gains_of_seeds(fails, split, {}, [1, 2, 3], 2, lambda done, total: None)
    assert no_process_is_left()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where tests run as a shell's background job, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_seeds_and_the_processes_of_their_peers(shop: Path, tmp_path: Path) -> None:
    split = split_by(LEAVE_ONE_OUT, read_folder(shop).interactions)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid-$$\nexec sleep 600\n")
    python.chmod(0o755)

    def interrupt() -> None:
        while len(list(tmp_path.glob("pid-*"))) < 2:
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # as a terminal would, into its wait

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        gains_of_seeds(OutsidePeer("als", [{}], python), split, {}, [1, 2], 2, lambda done, total: None)
    assert no_process_is_left()
    deadline = time.monotonic() + 10
    left = [int(path.name[4:]) for path in tmp_path.glob("pid-*")]
    while any(psutil.pid_exists(pid) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(left) == 2 and not any(psutil.pid_exists(pid) for pid in left)


def test_a_rerun_with_a_cache_trains_nothing_and_says_the_same(shop: Path, tmp_path: Path) -> None:
    arguments = ("--data", shop, "--models", QUICK + ",blend", "--out", tmp_path / "p.html", "--cache", tmp_path / "cache")
    first, second = told(run(*arguments)[1]), told(run(*arguments)[1])
    assert first["remembered"] == [] and set(second["remembered"]) == {*QUICK.split(","), "blend"}
    assert first["ndcg10"] == second["ndcg10"] and first["settings"] == second["settings"]
    other = told(run(*arguments, "--truncate", "2")[1])
    assert other["remembered"] == []


def test_who_cannot_run_is_named_in_table_and_json(shop: Path, tmp_path: Path) -> None:
    status, output = run(
        "--data", shop, "--models", "popularity,als", "--peers-python", tmp_path / "none", "--out", tmp_path / "p.html"
    )
    assert status == 0 and "als: left out" in output
    assert "make eval-recs-peers" in told(output)["left_out"]["als"]
    assert "als: left out" in (tmp_path / "p.html").read_text()
    status, output = run("--data", shop, "--models", "als", "--peers-python", tmp_path / "none", "--out", tmp_path / "q.html")
    assert status == 2 and "no model could be measured" in output


def test_ours_is_held_against_the_best_peer_with_every_seed(shop: Path, tmp_path: Path) -> None:
    arguments = ("--data", shop, "--models", "popularity,popularity-7d,portrait", "--seeds", "5,6")
    status, output = run(*arguments, "--out", tmp_path / "p.html", "--cache", tmp_path / "cache")
    assert status == 0, output
    report = told(output)
    assert report["best_peer"] in ("popularity", "popularity-7d") and report["seeds"] == [5, 6]
    low, high = report["gain_interval"]
    assert report["gain"] > 0 and low < report["gain"] < high
    assert all(band["gain"] is not None for band in report["by_history"].values())
    assert "Gain in NDCG@10 over" in (tmp_path / "p.html").read_text() and "portrait against" in output
    again = told(run(*arguments, "--out", tmp_path / "p.html", "--cache", tmp_path / "cache")[1])
    assert "portrait" not in again["remembered"] and again["ndcg10"] == report["ndcg10"]


def test_ours_is_left_out_with_a_sentence_where_torch_is_missing(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.recs.ours.contender.find_spec", lambda name: None)
    status, output = run("--data", shop, "--models", "popularity,portrait", "--out", tmp_path / "p.html")
    assert status == 0 and "portrait: left out, needs torch" in output


def test_plain_sequences_are_read_in_their_order(sequences: Path, tmp_path: Path) -> None:
    data = read_folder(sequences)
    assert not data.has_times and len(data.interactions) == 60
    first = data.interactions.part(data.interactions.users == data.interactions.user_ids.index("3"))
    assert [data.interactions.item_ids[item] for item in first.items] == ["3", "4", "5", "6", "7"]
    assert data.tags[data.interactions.item_ids.index("1")] == ["7", "8"]
    status, output = run("--data", sequences, "--models", "popularity", "--out", tmp_path / "p.html")
    assert status == 0 and told(output)["protocol"] == "leave-one-out"


def test_items_keep_their_words_and_tags(shop: Path) -> None:
    data = read_folder(shop)
    place = data.interactions.item_ids.index("i21")  # nobody took it, and it is a candidate all the same
    assert data.texts[place] == "<b>Thing 21</b>" and list(data.tags[place]) == ["odd", "thing"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--models", "populartiy"), "no model 'populartiy'; choose from popularity"),
        (("--models", ","), "--models names none"),
        (("--models", "blend,popularity"), "blend needs at least two"),
        (("--protocol", "random"), "no protocol 'random'; one of leave-one-out"),
        (("--seeds", "one"), "whole numbers with commas"),
        (("--seeds", "1,1"), "each seed once"),
    ],
)
def test_a_wrong_option_is_one_sentence_before_anything_is_read(shop: Path, arguments: tuple[str, ...], sentence: str) -> None:
    status, output = run("--data", shop, *arguments)
    assert status == 2 and sentence in output and "Traceback" not in output and "reading" not in output


def test_a_folder_of_another_layout_is_explained(tmp_path: Path) -> None:
    status, output = run("--data", tmp_path, "--models", "popularity")
    assert status == 2 and "has no events file" in output
    status, output = run("--data", tmp_path / "none", "--models", "popularity")
    assert status == 2 and "is not a folder" in output


def test_events_without_items_are_explained(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,event_time_ms,type,text,domain\nu,1,search,tents,ecommerce\n")
    status, output = run("--data", tmp_path, "--models", "popularity")
    assert status == 2 and "no event with an item" in output


@pytest.mark.parametrize(
    ("content", "sentence"), [("", "has no event with an item"), ("u1\n", "sequences.txt:1: a user's id")]
)
def test_sequences_that_are_none_are_explained(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "sequences.txt").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        read_folder(tmp_path)


def test_lines_that_are_no_sequences_are_counted_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "sequences.txt").write_text("u1 a b\nu2\n\nu1 c\nu3 a\n")
    data = read_folder(tmp_path)
    assert data.bad_rows == 2 and data.interactions.user_ids == ["u1", "u3"] and len(data.interactions) == 3
    for wrong in ("[1, 2]", '{"a": "sports"}', '{"a": {"b": 1}}'):
        (tmp_path / "item_attributes.json").write_text(wrong)
        with pytest.raises(ConfigError, match="is not JSON of the form"):
            read_folder(tmp_path)


def test_seeds_are_numbers() -> None:
    assert read_seeds("3, 1,2") == [3, 1, 2]


def test_help_names_every_model() -> None:
    from deploy.recs.line_up import MODELS

    output = CliRunner().invoke(app, ["eval", "recs", "--help"], env={"COLUMNS": "140"}).output
    assert all(name in output for name in MODELS)


ORPHAN = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from deploy.recs.side_by_side import lead_a_group
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=lead_a_group)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(600)
"""


def test_processes_of_seeds_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(ORPHAN)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    child.wait(timeout=10)
