"""The rules file: what it says is what the rules do, and a mistake is told with its line."""

import re
from pathlib import Path

import pytest

from consumers.lists.concepts import read_edges
from consumers.lists.rule_file import read_rules
from consumers.lists.rules import AgeLimit, Boost, GroupCap, Match, Pin
from schemas.errors import ConfigError
from tests.unit.synthetic import item

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"


def test_every_kind_of_rule_is_read() -> None:
    book = read_rules(
        """
rules:
  - {name: sale, match: {tags: Sale, attributes: {brand: [Acme, 7]}}, boost: 0.2,
     from: 2026-03-01, until: 2026-03-02T12:00:00Z}
  - {name: old, match: {domains: [news], languages: en}, bury: 0.3}
  - {name: hero, pin: item-1, place: 2, surfaces: [home]}
  - {name: brands, cap: brand, most: 2}
  - {name: adults, match: {items: [a, b]}, least_age: 18}
""",
        "rules.yaml",
    )
    assert book.boosts == (
        Boost(
            "sale",
            Match(tags=frozenset({"sale"}), attributes={"brand": frozenset({"acme", "7"})}),
            0.2,
            1_772_323_200_000,
            1_772_452_800_000,
        ),
        Boost("old", Match(domains=frozenset({"news"}), languages=frozenset({"en"})), -0.3),
    )
    assert book.pins == (Pin("hero", "item-1", 2, frozenset({"home"})),)
    assert book.caps == (GroupCap("brands", "brand", 2),)
    assert book.age_limits == (AgeLimit("adults", Match(items=frozenset({"a", "b"})), 18),)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("rules:\n  - {name: a, boost: 0.1, pin: x}", 2, "must have one of"),
        ("rules:\n  - {name: a}", 2, "it has none"),
        ("rules:\n  - {boost: 0.1}", 2, "no name"),
        ("rules:\n\n  - name: a\n    boost: many", 4, "must be a number"),
        ("rules:\n  - name: a\n    boost: true", 3, "must be a number"),
        ("rules:\n  - name: a\n    boost: 11", 3, "from 0 to 10"),
        ("rules:\n  - name: a\n    boost: 1\n    bost: 2", 4, "has no 'bost'"),
        ("rules:\n  - name: a\n    boost: 1\n    match: {tag: x}", 4, "match has no 'tag'"),
        ("rules:\n  - name: a\n    boost: 1\n    match: {}", 4, "match is empty"),
        ("rules:\n  - name: a\n    boost: 1\n    match: {tags: []}", 4, "tags is empty"),
        ("rules:\n  - name: a\n    pin: 7", 3, "must be text"),
        ("rules:\n  - name: a\n    pin: x\n    place: 1.5", 4, "whole number"),
        ("rules:\n  - name: a\n    cap: brand", 2, "how many"),
        ("rules:\n  - name: a\n    least_age: 18", 2, "needs a match"),
        ("rules:\n  - name: a\n    boost: 1\n    from: soon", 4, "a date or a time"),
        ("rules:\n  - name: a\n    boost: 1\n    from: 2026-01-02\n    until: 2026-01-01", 5, "not after"),
        ("rules:\n  - {name: a, pin: x}\n  - {name: a, pin: y}", 3, "another rule"),
        ("rules:\n  - name: a\n    name: b\n    pin: y", 3, "there twice"),
        ("rules: 3", 1, "must be a list"),
        ("- a", 1, "must be a mapping"),
        ("rules:\n  - [", 2, "not YAML"),
        ("rules:\n  - name: a\n    pin: !!python/object:os.system x", 3, "not understood"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_rules(text, "rules.yaml")
    assert re.match(rf"rules\.yaml, line ({line}|{line + 1}): ", str(error.value)) and why in str(error.value)


def test_an_empty_file_has_no_rules() -> None:
    assert not any(read_rules("", "rules.yaml"))


def test_the_example_in_the_docs_is_a_rule_file() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert examples and all(any(read_rules(example, "docs/rules.md")) for example in examples)


def test_a_rule_speaks_of_what_fulfils_all_that_is_given() -> None:
    match = Match(tags=frozenset({"sale"}), attributes={"brand": frozenset({"acme"})})
    assert match.fits(item("a", tags=["SALE"], attributes={"brand": "Acme"}))
    assert not match.fits(item("a", tags=["SALE"], attributes={"brand": "Other"}))
    assert not match.fits(item("a", tags=["SALE"]))
    assert Match().fits(item("a"))


def test_edges_are_read_from_both_kinds_of_file() -> None:
    expected = {"a": ("Jazz", "Vinyl"), "b": ("Jazz",)}
    assert read_edges("item_id,concept\na,Jazz\na,Vinyl\na,Jazz\nb,Jazz\n", "edges.csv") == expected
    lines = '{"item_id": "a", "concept": "Jazz"}\n{"item_id": "a", "concept": "Vinyl"}\n\n{"item_id": "b", "concept": "Jazz"}'
    assert read_edges(lines, "edges.jsonl") == expected


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("item,concept\na,b\n", "e.csv", 1),
        ("item_id,concept\na,b\nc,\n", "e.csv", 3),
        ('{"item_id": "a", "concept": "b"}\nnope', "e.jsonl", 2),
        ('{"item_id": "a"}', "e.jsonl", 1),
        ("[1]", "e.jsonl", 1),
    ],
)
def test_a_wrong_edge_is_told_with_its_line(text: str, name: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"{name}, line {line}: "):
        read_edges(text, name)


def test_a_character_that_yaml_does_not_allow_is_told_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"rules.yaml, line 2: a character .*x01"):
        read_rules("rules:\n  - name: a\x01\n", "rules.yaml")
