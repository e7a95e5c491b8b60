"""The real data sets convert row for row; skipped where they are not on this machine, as they may not be redistributed."""

from collections import Counter
from pathlib import Path

import pytest

from producers.dataset import Dataset, open_dataset
from schemas.messages import BehaviorEvent, Item

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def dataset(name: str) -> Dataset:
    if not (DATA / name).is_dir():
        pytest.skip(f"../shared/data/{name} is not here")
    return open_dataset(DATA / name)


def items_of(data: Dataset) -> dict[str, Item]:
    return {item.item_id: item for item in data.items()}


def test_movielens_converts_whole() -> None:
    data = dataset("movielens-100k")
    assert data.mapping_source == "movielens-100k", "recognised by its folder's name"
    events = list(data.events())
    assert len(events) == data.times.count == 100_000
    assert len({event.event_id for event in events}) == 100_000
    assert {(event.type, event.domain) for event in events} == {("rating", "video")}
    assert Counter(event.value for event in events) == {1: 6110, 2: 11370, 3: 27145, 4: 34174, 5: 21201}
    times = [event.event_time_ms for event in events]
    assert times == sorted(times) and (times[0], times[-1]) == (data.times.first_ms, data.times.last_ms)
    assert (times[0], events[0].user_id, events[0].item_id, events[0].value) == (874_724_710_000, "259", "255", 4.0)
    assert len(data.user_ids()) == 943
    assert len(data.bad_rows) == 0


def test_movielens_items_read_naturally() -> None:
    data = dataset("movielens-100k")
    items = items_of(data)
    assert len(items) == 1682
    toy_story = items["1"]
    assert toy_story.title == "Toy Story (1995)"
    assert toy_story.tags == ["Animation", "Children's", "Comedy"]
    assert toy_story.description.startswith("A little boy named Andy")
    assert "Directed by John Lasseter. With Tom Hanks, Tim Allen" in toy_story.description
    assert toy_story.published_at_ms == 788_918_400_000
    titles = {item.title for item in items.values()}
    assert {"The Usual Suspects (1995)", "The Big Blue (Le Grand bleu) (1988)", "Paris, Texas (1984)"} <= titles
    assert "Beauty and the Beast (1991)" in titles
    assert not [title for title in titles if ", The" in title and not title.startswith("The Good, The Bad")]
    assert all("unknown" not in item.tags and "N/A" not in item.description for item in items.values())
    assert all(item.domain == "video" for item in items.values())
    assert len(data.bad_rows) == 0


def test_movielens_users_are_declared_in_full() -> None:
    data = dataset("movielens-100k")
    declared = {user.user_id: user for user in data.attributes()}
    assert len(declared) == 943
    assert (declared["1"].age, declared["1"].gender, declared["1"].occupation) == (24, "male", "technician")
    assert declared["2"].gender == "female" and declared["2"].occupation is None, "other says nothing"
    assert {user.updated_at_ms for user in declared.values()} == {data.times.first_ms}


def test_online_retail_converts_whole() -> None:
    data = dataset("online-retail")
    count, ids, types, negative_purchases = 0, set(), Counter[str](), 0
    sample: list[BehaviorEvent] = []
    for event in data.events():
        count += 1
        ids.add(event.event_id)
        types[event.type] += 1
        negative_purchases += event.type == "purchase" and (event.value or 0) <= 0
        if count == 1:
            sample.append(event)
    assert (count, len(ids)) == (406_829, 406_829)
    assert types == {"purchase": 397_924, "return": 8_905} and negative_purchases == 0
    first = sample[0]
    assert (first.item_id, first.value, first.session_id) == ("85123A", 6.0, "536365")
    items = items_of(data)
    assert len(items) == 3684 and {"POST", "M", "BANK CHARGES"} <= items.keys()
    assert items["10120"].title == "Doggy rubber" and items["10120"].attributes == {"median_price": 0.21}
    locations = {user.user_id: user.location for user in data.attributes()}
    assert len(locations) == len(data.user_ids()) == 4372 and locations["12347"] == "Iceland"
    assert len(data.bad_rows) == 0


def test_beauty_converts_whole() -> None:
    data = dataset("amazon-beauty-s3rec")
    assert data.mapping_source == "amazon-beauty-s3rec" and not data.has_times
    events = list(data.events())
    assert len(events) == 198_502 and len({event.event_id for event in events}) == len(events)
    assert {(event.type, event.domain) for event in events} == {("purchase", "ecommerce")}
    items = items_of(data)
    assert len(items) == 12_101 and {event.item_id for event in events} == items.keys()
    assert items["83"].title == "83" and items["83"].tags == ["4", "5", "6"]
    assert len(data.user_ids()) == 22_363 and len(data.bad_rows) == 0
