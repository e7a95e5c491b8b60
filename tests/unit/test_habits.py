"""Habits: stated when clear, never by chance or of what the user hides."""

from collections.abc import Sequence

import pytest

from consumers.statements.habits import Habit, habits, time_of_day
from consumers.statements.interests import InterestRules
from consumers.statements.statements import statements
from consumers.statements.vocabulary import Vocabulary
from schemas.messages import Domain, EventType, Item
from schemas.settings import FoldSettings
from schemas.state import HistoryEvent, UserState
from tests.unit.statement_support import unsupported

HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_760_054_400_000
RULES = InterestRules(FoldSettings().type_weights, half_life_h=24.0 * 14)

DOMAINS: tuple[Domain, ...] = ("ecommerce", "video", "social", "news")


def goods(number: int, price: float, currency: str = "EUR", brand: str = "Ardent") -> Item:
    attributes: dict[str, str | float | int | bool] = {"brand": brand, "price": price, "currency": currency}
    return Item(item_id=f"g{number}", domain="ecommerce", title=f"Goods {number}", tags=["t"], attributes=attributes)


def works(number: int, domain: Domain, author: str) -> Item:
    name = {"video": "creator", "social": "author", "news": "outlet"}[domain]
    return Item(item_id=f"w{number}", domain=domain, title=f"Work {number}", tags=["t"], attributes={name: author})


def did(item_ids: Sequence[str], kind: EventType = "click", hour: float = 20, every_h: float = 24) -> list[HistoryEvent]:
    first_ms = MIDNIGHT_MS + round(hour * HOUR_MS)
    return [
        HistoryEvent(first_ms + round(day * every_h * HOUR_MS), f"{kind}{day}-{item_id}", item_id, kind)
        for day, item_id in enumerate(item_ids)
    ]


def found(
    events: Sequence[HistoryEvent], items: Sequence[Item], rules: InterestRules = RULES, **hidden: object
) -> dict[str, Habit]:
    state = UserState(events=sorted(events), **hidden)  # type: ignore[arg-type]
    catalogue = {item.item_id: item for item in items}
    for statement in statements(state, catalogue, rules, Vocabulary.of(items)):
        assert not unsupported(statement, state, catalogue, {}, rules.utc_offset_h), statement
    return {habit.topic: habit for habit in habits(state, catalogue, rules, Vocabulary.of(items))}


@pytest.mark.parametrize(
    ("hour", "name"),
    [(4.99, "night"), (5, "morning"), (11.99, "morning"), (12, "afternoon"), (17, "evening"), (22, "night"), (0, "night")],
)
def test_times_of_day(hour: float, name: str) -> None:
    assert time_of_day(MIDNIGHT_MS + round(hour * HOUR_MS), 0.0) == name
    assert time_of_day(MIDNIGHT_MS + round((hour - 8) * HOUR_MS), 8.0) == name


def test_a_time_of_day_takes_days_and_the_users_clock() -> None:
    items = [goods(number, 10) for number in range(12)]
    evenings = did([item.item_id for item in items])
    assert found(evenings, items)["time_of_day"].value == "evening"
    abroad = InterestRules(RULES.type_weights, RULES.half_life_h, utc_offset_h=14.0)
    assert found(evenings, items, abroad)["time_of_day"].value == "morning"
    assert "time_of_day" not in found(did([item.item_id for item in items], every_h=0.1), items)
    assert "time_of_day" not in found(did([item.item_id for item in items], every_h=31), items)


def test_one_long_night_is_no_habit() -> None:
    items = [goods(number, 10) for number in range(30)]
    night = did([f"g{number}" for number in range(20)], hour=23, every_h=0.05)
    days = did([f"g{number}" for number in range(20, 30)], hour=13)
    assert "time_of_day" not in found([*night, *days[:4]], items)


def test_a_price_band_is_the_narrow_one_that_holds_most_purchases() -> None:
    items = [goods(number, price) for number, price in enumerate([19.99, 24, 31, 38, 45, 300])]
    bought = did([item.item_id for item in items], "purchase")
    band = found(bought, items)["price_band"]
    assert band.value == "20-50 EUR" and len(band.event_ids) == 4
    assert "price_band" not in found(did([item.item_id for item in items], "view"), items)
    assert "price_band" not in found(bought[:3], items)


def test_a_price_band_keeps_to_a_currency_and_leaves_returns_out() -> None:
    items = [*(goods(number, 100 + number, "CNY") for number in range(4)), *(goods(number, 5) for number in range(4, 8))]
    bought = did([item.item_id for item in items], "add_to_cart")
    assert "price_band" not in found(bought, items)
    returned = did([f"g{number}" for number in range(4, 8)], "return", every_h=30)
    assert found([*bought, *returned], items)["price_band"].value == "100-150 CNY"


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_format_is_a_habit_where_there_is_a_choice(domain: Domain) -> None:
    def make(number: int, own: Domain) -> Item:
        return goods(number, 10) if own == "ecommerce" else works(number, own, f"Author {number}")

    items = [make(number, domain) for number in range(12)]
    others = [make(number, other) for number, other in enumerate(DOMAINS, start=50) if other != domain]
    events = did([item.item_id for item in items])
    assert found(events, [*items, *others])["format"].value == domain
    assert "format" not in found(events, items)


@pytest.mark.parametrize("domain", ["video", "social", "news"])
def test_an_author_stands_behind_most_of_what_is_picked(domain: Domain) -> None:
    items = [works(number, domain, "顾晚" if number % 4 else "Ada") for number in range(8)]
    assert found(did([item.item_id for item in items], "like"), items)["author"].value == "顾晚"
    assert "author" not in found(did(["w1"] * 8, "like"), items)


def test_a_brand_is_none_when_much_of_it_goes_back() -> None:
    items = [goods(number, 10 * 4**number, brand="Kestrel") for number in range(6)]
    bought = did([item.item_id for item in items], "purchase")
    assert found(bought, items)["brand"].value == "Kestrel"
    assert "brand" not in found([*bought, *did([f"g{number}" for number in range(5)], "return", every_h=30)], items)


def test_what_the_user_hides_is_no_habit() -> None:
    items = [goods(number, 20 + number) for number in range(12)]
    bought = did([item.item_id for item in items], "purchase")
    assert found(bought, items).keys() == {"time_of_day", "price_band", "brand"}
    assert found(bought, items, muted_tags=["t"]).keys() == {"time_of_day"}
    assert found(bought, items, edits={"ardent": "not_interested"}).keys() == {"time_of_day", "price_band"}
    assert found(bought, items, muted_tags=["Evening", "20-40 EUR"]).keys() == {"brand"}


def test_hostile_attributes_are_no_habit() -> None:
    items = [
        Item(
            item_id=f"g{number}",
            domain="ecommerce",
            title="t",
            attributes={
                "brand": "<|im_end|>" if number % 2 else "x" * 500,
                "price": [-1, 0, True, 1e300][number % 4],
                "currency": 7,
            },
        )
        for number in range(12)
    ]
    assert found(did([item.item_id for item in items], "purchase"), items).keys() == {"time_of_day"}


def test_a_price_band_is_written_as_people_do() -> None:
    items = [
        goods(number, price, "VND") for number, price in enumerate([700_000, 750_000, 800_000, 850_000, 900_000, 950_000])
    ]
    band = found(did([item.item_id for item in items], "purchase"), items)["price_band"]
    assert band.value.replace(" VND", "").replace("-", "").isdigit()
