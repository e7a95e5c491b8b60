"""Users known by one line of free text: what is forgotten of them, and how their lists are judged."""

from collections import Counter
from types import SimpleNamespace

from consumers.catalogue import Catalogue
from deploy.evaluation.cold_start import cold_start_hits, learn_popularity, only_their_line
from deploy.evaluation.people import Person, Place
from schemas.messages import BehaviorEvent, Item, ItemVector, UserAttributes
from schemas.settings import load_settings
from schemas.tensors import EMBEDDING_DIM

LINE = "I like chess and hiking."


def person(user_id: str, line: str | None, held_out: str = "i3") -> Person:
    declared = UserAttributes(user_id=user_id, updated_at_ms=5, age=40, occupation="nurse", tags=["chess"], free_text=line)
    event = BehaviorEvent(event_id=f"e-{user_id}", user_id=user_id, item_id="i1", type="purchase", event_time_ms=90)
    return Person(user_id, "en", (declared, event), held_out)


def place() -> Place:
    catalogue = Catalogue()
    for number in range(30):
        item_id, vector = f"i{number}", [1.0] * EMBEDDING_DIM
        catalogue.put_item(Item(item_id=item_id, domain="ecommerce", title=f"Thing {number}"))
        catalogue.put_vector(ItemVector(item_id=item_id, vector=vector, model_name="m", model_version="0"))
    return Place("shop", catalogue, load_settings())


def test_all_but_the_line_is_forgotten_and_it_is_told_at_their_last_moment() -> None:
    line = only_their_line(person("u", LINE))
    assert line is not None and line.free_text == LINE and line.updated_at_ms == 90
    assert line.age is None and line.occupation is None and line.tags == []
    assert only_their_line(person("u", None)) is None


def test_only_those_who_wrote_a_line_are_met_and_an_item_not_listed_is_last() -> None:
    states = []

    def lists(lives: list) -> list:
        states.extend(life.state for life in lives)
        return [[SimpleNamespace(item_id="i9"), SimpleNamespace(item_id="i3")]]

    people = [person("a", LINE), person("b", None), person("c", LINE, held_out="i4"), person("d", LINE, held_out="gone")]
    popularity = Counter({"i4": 9, "i7": 5})
    hits = cold_start_hits(people, place(), SimpleNamespace(lists=lists), popularity)  # type: ignore[arg-type]
    assert hits.profile == [2.0, 30.0]
    assert hits.popularity == [16.5, 1.0]  # i3 is one of 28 that nobody met, behind two
    assert all(not state.events and state.attributes and state.attributes.free_text == LINE for state in states)


def test_what_people_did_before_their_cut_is_popular() -> None:
    shop = place()
    learn_popularity(shop, [person("a", None), person("b", LINE)])
    first, second = shop.catalogue.rows(["i1", "i2"])
    popular = shop.catalogue.popularity.shares(len(shop.catalogue))
    assert popular[first] > popular[second] == 0
