"""Who waits for what, within a bound."""

from consumers.awaited import Awaited


def test_those_who_waited_are_told_once_and_in_order() -> None:
    awaited = Awaited()
    for user in ("b", "a", "b"):
        awaited.add("item", (0, user))
    assert len(awaited) == 2
    assert awaited.arrived("item") == [(0, "a"), (0, "b")]
    assert awaited.arrived("item") == []
    assert len(awaited) == 0


def test_pairs_are_bounded_however_they_are_spread() -> None:
    one_item, many_items = Awaited(max_pairs=10), Awaited(max_pairs=10)
    for number in range(100):
        one_item.add("item", (0, f"user-{number}"))
        many_items.add(f"item-{number}", (0, "user"))
    assert len(one_item) == len(many_items) == 10
    assert len(one_item.arrived("item")) == 10
    one_item.add("item", (0, "later"))
    assert one_item.arrived("item") == [(0, "later")]


def test_revoked_partitions_make_room() -> None:
    awaited = Awaited(max_pairs=2)
    awaited.add("item", (0, "a"))
    awaited.add("item", (1, "b"))
    awaited.forget(frozenset({0}))
    assert len(awaited) == 1
    awaited.add("other", (1, "b"))
    assert (awaited.arrived("item"), awaited.arrived("other")) == ([(1, "b")], [(1, "b")])
