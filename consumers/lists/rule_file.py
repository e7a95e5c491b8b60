"""The site's rules as a YAML file (docs/rules.md), checked strictly: a mistake is told with its line."""

import datetime as dates
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import yaml

from consumers.catalogue import ALWAYS_MS
from consumers.lists.rules import AgeLimit, Boost, GroupCap, Match, Pin, RuleBook
from schemas.errors import ConfigError

ACTIONS = ("boost", "bury", "pin", "cap", "least_age")
ALLOWED = {
    "boost": {"match", "from", "until"},
    "bury": {"match", "from", "until"},
    "pin": {"place", "surfaces", "from", "until"},
    "cap": {"most"},
    "least_age": {"match"},
}
"""What a rule may have beside its name, by what it does."""
MATCHES = ("items", "tags", "domains", "languages", "attributes")
MOST_RULES = 200


def read_rules(text: str, name: str) -> RuleBook:
    """The rules of a file's text; `name` is the file's, for messages.

    Raises:
        ConfigError: the text is not a rule file; the message names file, line and what is wrong.
    """
    return _Reader(text, name).book()


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        try:
            self._loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            raise ConfigError(f"{name}, line {line}: a character that YAML does not allow, {chr(error.character)!r}") from None
        self._boosts: list[Boost] = []
        self._pins: list[Pin] = []
        self._caps: list[GroupCap] = []
        self._limits: list[AgeLimit] = []

    def book(self) -> RuleBook:
        try:
            root = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ConfigError(f"{self._name}, line {line}: not YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self._name}: not YAML: {error}") from None
        if root is None:
            return RuleBook()
        top = self._fields(root, "the file")
        self._only(top, {"rules"}, "the file")
        rules = self._list(top["rules"], "rules") if "rules" in top else []
        if len(rules) > MOST_RULES:
            self._refuse(root, f"{len(rules)} rules are too many: at most {MOST_RULES}")
        names: set[str] = set()
        for node in rules:
            name = self._rule(node)
            if name in names:
                self._refuse(node, f"there is another rule with the name {name!r}")
            names.add(name)
        return RuleBook(tuple(self._boosts), tuple(self._pins), tuple(self._caps), tuple(self._limits))

    def _rule(self, node: Any) -> str:
        fields = self._fields(node, "a rule")
        if "name" not in fields:
            self._refuse(node, "the rule has no name")
        name = self._text(fields["name"], "name")
        does = [action for action in ACTIONS if action in fields]
        if len(does) != 1:
            self._refuse(node, f"rule {name!r} must have one of {', '.join(ACTIONS)}; it has {', '.join(does) or 'none'}")
        [action] = does
        self._only(fields, {"name", action} | ALLOWED[action], f"a rule with {action}")
        match = self._match(fields.get("match"))
        if action in ("boost", "bury"):
            amount = self._number(fields[action], action, 0, 10)
            self._boosts.append(Boost(name, match, amount if action == "boost" else -amount, *self._times(fields)))
        elif action == "pin":
            place = int(self._number(fields["place"], "place", 1, 200, whole=True)) if "place" in fields else 1
            surfaces = frozenset(self._texts(fields["surfaces"], "surfaces")) if "surfaces" in fields else frozenset()
            self._pins.append(Pin(name, self._text(fields["pin"], "pin"), place, surfaces, *self._times(fields)))
        elif action == "cap":
            if "most" not in fields:
                self._refuse(node, f"rule {name!r} does not say how many: most")
            most = int(self._number(fields["most"], "most", 1, 200, whole=True))
            self._caps.append(GroupCap(name, self._text(fields["cap"], "cap"), most))
        else:
            if "match" not in fields:
                self._refuse(node, f"rule {name!r} would keep every item from the young: it needs a match")
            self._limits.append(AgeLimit(name, match, int(self._number(fields[action], action, 1, 130, whole=True))))
        return name

    def _match(self, node: Any) -> Match:
        if node is None:
            return Match()
        fields = self._fields(node, "match")
        self._only(fields, set(MATCHES), "match")
        if not fields:
            self._refuse(node, f"match is empty: it needs one of {', '.join(MATCHES)}")
        attributes: Mapping[str, frozenset[str]] = {}
        if "attributes" in fields:
            inner = self._fields(fields["attributes"], "attributes")
            attributes = {name: frozenset(self._folded(value, name)) for name, value in inner.items()}
        return Match(
            items=frozenset(self._texts(fields["items"], "items")) if "items" in fields else frozenset(),
            tags=frozenset(self._folded(fields["tags"], "tags")) if "tags" in fields else frozenset(),
            domains=frozenset(self._texts(fields["domains"], "domains")) if "domains" in fields else frozenset(),
            languages=frozenset(self._texts(fields["languages"], "languages")) if "languages" in fields else frozenset(),
            attributes=attributes,
        )

    def _times(self, fields: Mapping[str, Any]) -> tuple[int, int]:
        from_ms = self._time(fields["from"], "from") if "from" in fields else 0
        until_ms = self._time(fields["until"], "until") if "until" in fields else ALWAYS_MS
        if until_ms <= from_ms:
            self._refuse(fields["until"], "until is not after from")
        return from_ms, until_ms

    def _time(self, node: Any, what: str) -> int:
        value = self._value(node)
        if isinstance(value, dates.date) and not isinstance(value, dates.datetime):
            value = dates.datetime(value.year, value.month, value.day)
        if not isinstance(value, dates.datetime):
            self._refuse(node, f"{what} must be a date or a time, as in 2026-03-01T09:00:00Z, not {value!r}")
        return int((value if value.tzinfo else value.replace(tzinfo=dates.UTC)).timestamp() * 1000)

    def _fields(self, node: Any, what: str) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, f"{what} must be a mapping of names to values")
        fields: dict[str, Any] = {}
        for key, value in node.value:
            name = self._text(key, f"a name in {what}")
            if name in fields:
                self._refuse(key, f"{name} is there twice")
            fields[name] = value
        return fields

    def _only(self, fields: Mapping[str, Any], allowed: set[str], what: str) -> None:
        for name, node in fields.items():
            if name not in allowed:
                self._refuse(node, f"{what} has no {name!r}; it may have {', '.join(sorted(allowed))}")

    def _list(self, node: Any, what: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, f"{what} must be a list")
        return list(node.value)

    def _texts(self, node: Any, what: str) -> Iterator[str]:
        nodes = [node] if isinstance(node, yaml.ScalarNode) else self._list(node, what)
        if not nodes:
            self._refuse(node, f"{what} is empty")
        return (self._text(one, what) for one in nodes)

    def _folded(self, node: Any, what: str) -> Iterator[str]:
        """Texts to compare with; a number or a truth value stands for its text."""
        nodes = [node] if isinstance(node, yaml.ScalarNode) else self._list(node, what)
        if not nodes:
            self._refuse(node, f"{what} is empty")
        return (str(self._value(one)).casefold() for one in nodes)

    def _text(self, node: Any, what: str) -> str:
        value = self._value(node)
        if not isinstance(value, str) or not value.strip():
            self._refuse(node, f"{what} must be text, not {value!r}: put it in quotes if it is meant so")
        return value

    def _number(self, node: Any, what: str, least: float, most: float, whole: bool = False) -> float:
        value = self._value(node)
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            self._refuse(node, f"{what} must be a {'whole ' if whole else ''}number from {least} to {most}, not {value!r}")
        return float(value)

    def _value(self, node: Any) -> Any:
        construct: Callable[..., Any] = self._loader.construct_object
        try:
            return construct(node, deep=True)
        except (yaml.YAMLError, ValueError) as error:
            self._refuse(node, f"not understood: {error}")

    def _refuse(self, node: Any, why: str) -> NoReturn:
        raise ConfigError(f"{self._name}, line {node.start_mark.line + 1}: {why}")
