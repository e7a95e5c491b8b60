"""What users of the demo shop do with a list: they see its beginning, and click what suits them more often."""

from collections import Counter

import pytest

from producers.shop import Shop
from producers.shop_acts import relevance
from producers.shop_visits import Visitor
from schemas.messages import Recommendations

SHOP = Shop(users=60)
ITEMS = {one.item.item_id: one for one in SHOP.shop_items}
NOW_MS = SHOP.end_ms


def shown(user_id: str, item_ids: list[str], list_id: str) -> Recommendations:
    return Recommendations.model_validate(
        {
            "user_id": user_id,
            "items": [{"item_id": one, "title": "x", "score": 1.0, "reasons": []} for one in item_ids],
            "state_version": 1,
            "list_id": list_id,
            "model_name": "user_encoder",
            "model_version": "1",
            "catalog_size": len(ITEMS),
            "generated_at_ms": NOW_MS,
            "cause": {
                "topic": "behavior-events",
                "partition": 0,
                "offset": 0,
                "record_time_ms": NOW_MS,
                "waiting_since_ms": NOW_MS,
            },
        }
    )


@pytest.fixture(scope="module")
def clicks() -> tuple[Counter[str], Counter[str], Counter[int], Counter[int]]:
    """Seen and clicked items by whether they suit, and by place, over many lists."""
    seen, clicked, seen_at, clicked_at = Counter[str](), Counter[str](), Counter[int](), Counter[int]()
    item_ids = sorted(ITEMS)
    for number, user in enumerate(SHOP.users * 12):
        own = [item_ids[(number * 37 + place * 61) % len(item_ids)] for place in range(10)]
        visit = Visitor(7, user, ITEMS).visit(shown(user.user_id, own, f"list-{number}"), NOW_MS)
        assert visit is not None
        for one in visit.impression.items:
            suits = "suits" if relevance(ITEMS[one.item_id].topics, user.weights_at(NOW_MS)) > 0.5 else "does not"
            seen[suits] += 1
            seen_at[one.position] += 1
            if one.item_id in visit.clicked:
                clicked[suits] += 1
                clicked_at[one.position] += 1
    return seen, clicked, seen_at, clicked_at


def test_what_suits_is_clicked_more(clicks: tuple[Counter[str], Counter[str], Counter[int], Counter[int]]) -> None:
    seen, clicked, _, _ = clicks
    assert clicked["suits"] / seen["suits"] > 5 * clicked["does not"] / seen["does not"] > 0


def test_later_places_are_seen_and_clicked_less(clicks: tuple[Counter[str], Counter[str], Counter[int], Counter[int]]) -> None:
    _, _, seen_at, clicked_at = clicks
    assert [seen_at[place] for place in range(10)] == sorted(seen_at.values(), reverse=True)
    first, last = ([clicked_at[place] / seen_at[place] for place in places] for places in ((0, 1, 2), (7, 8, 9)))
    assert sum(first) > 1.3 * sum(last)


def test_events_name_their_list_and_the_same_list_is_met_the_same_way() -> None:
    user, item_ids = SHOP.users[5], sorted(ITEMS)[:200:20]
    visits = [Visitor(7, user, ITEMS).visit(shown(user.user_id, item_ids, "one-list"), NOW_MS) for _ in range(2)]
    assert visits[0] == visits[1] and visits[0] is not None
    assert {event.list_id for event in visits[0].events} <= {"one-list"}
    assert {event.item_id for event in visits[0].events} == visits[0].clicked
    assert len({event.event_id for event in visits[0].events}) == len(visits[0].events)


def test_an_empty_list_is_no_visit() -> None:
    assert Visitor(7, SHOP.users[5], ITEMS).visit(shown(SHOP.users[5].user_id, [], "none"), NOW_MS) is None
