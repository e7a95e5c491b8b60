"""`portrait eval profiles` from end to end, with the model that Triton runs: every figure is there, and the page is safe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.catalog import item_text
from consumers.catalogue import Catalogue
from deploy.evaluation.cold_start import cold_start_hits, learn_popularity
from deploy.evaluation.models import TextEncoder, UserEncoder
from deploy.evaluation.obedience import ListMaker
from deploy.evaluation.people import Place, shop_people
from deploy.evaluation.retrieval import Hits, popularity_before
from producers.shop import Shop
from schemas.messages import ItemVector
from schemas.settings import load_settings

ROOT = Path(__file__).parents[2]
pytest.importorskip("torch")


@pytest.mark.timeout(900)
def test_the_command_measures_everything(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy.cli",
        "eval",
        "profiles",
        "--quick",
        "--users",
        "12",
        "--data",
        str(tmp_path / "none"),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PORTRAIT_RUNTIME__FOLDER": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["report"] == "eval-profiles"
    assert set(report["support_rate"]) == set(report["llm_share"]) == {"en", "zh"}
    assert min(report["support_rate"].values()) >= 0.99
    assert min(*report["numbers_true"].values(), *report["entities_true"].values()) == 1.0
    assert report["reversal_contradictions"] == report["edits_disobeyed"] == report["injections_followed"] == 0
    assert report["reversal_cases"] >= 7 and report["edit_cases"] >= 8 and report["attacks"] == 14
    assert report["texts_written"] > 0 and max(report["llm_share"].values()) > 0
    assert report["llm_calls_per_100_events"].keys() == {"shop"} and report["changes_shown_within_20_events"] is not None
    assert set(report["free_text_only"]) == {"users", "hr10", "popularity_hr10", "popularity_in_language_hr10"}
    assert report["profile_only_hr10"].keys() == report["popularity_hr10"].keys() == {"shop"}
    assert report["skipped"]
    page = (tmp_path / "eval" / "profiles.html").read_text(encoding="utf-8")
    assert "<svg" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert not set("\u202e\u200b\u2066") & set(page)


def test_one_line_about_themselves_finds_users_more_than_twice_what_popularity_does() -> None:
    settings = load_settings()
    encoder, shop = TextEncoder(settings, print), Shop(7, 500)
    place = Place("shop", Catalogue(), settings, shop)
    for item, vector in zip(shop.items, encoder.encode([item_text(item) for item in shop.items]), strict=True):
        place.catalogue.put_item(item)
        place.catalogue.put_vector(ItemVector(item_id=item.item_id, vector=vector.tolist(), model_name="m", model_version="0"))
    everyone = shop_people(shop, shop.simulate(20_000), len(shop.users))
    learn_popularity(place, everyone)
    hits = cold_start_hits(everyone, place, ListMaker(place, encoder, UserEncoder()), popularity_before(everyone))
    assert hits.users >= 30
    assert Hits.rate(hits.profile) >= 2 * max(Hits.rate(hits.popularity), Hits.rate(hits.popularity_in_language)) > 0
