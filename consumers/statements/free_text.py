"""Which tags a text about oneself names, and how: `I love hiking but not football`, 不再关注美食.

Only a reader: whatever a text asks for, all that comes of it are tags of the catalogue, liked or not. English and Chinese are
read alike, in one pass, since people mix them. A tag that is merely named in a text about oneself is liked. One that is denied
anywhere in it is not: taking something back must not fail because it is named twice.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from consumers.statements.free_text_cues import (
    AFTER_MENTION,
    ANY_MORE,
    CLAUSE_END,
    CONNECTIVES,
    ENDINGS,
    FILLERS,
    OTHERS,
    SENTENCE_END,
    TABLES,
    CueKind,
)
from consumers.statements.vocabulary import UNSPACED, Token, Vocabulary, plain, tokens_of

NEAR = 3
"""Words between a negation and what it turns round, at most."""
BESIDE_ONE_CHARACTER = re.compile(r"[\W和与及跟或也还的了]|$")
"""What may follow a tag of one character; else it is likely a part of another word."""


class Mention(NamedTuple):
    """A tag that the text says something about.

    `tags` are the catalogue's spellings of it, the nearest first; `sign` 1 for liked, -1 for not. `before` says that the text
    tells of the opposite having held; `topical` that it is said of an interest outright, and not of one thing at hand.
    """

    tags: tuple[str, ...]
    sign: int
    before: bool = False
    topical: bool = False


class Reading(NamedTuple):
    """What a text says of the catalogue's tags, and the text without the clauses that speak against something."""

    mentions: tuple[Mention, ...] = ()
    without_denials: str = ""


class _Named(NamedTuple):
    """A tag's place in the text."""

    start: int
    end: int
    tags: tuple[str, ...]


class _Cue(NamedTuple):
    """A cue's place in the text."""

    start: int
    end: int
    kind: CueKind


_Place = TypeVar("_Place", _Named, _Cue, Token)


class _Clause(NamedTuple):
    start: int
    end: int
    asked: bool


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a text; remembered until the vocabulary changes. At most one mention a tag."""
    return vocabulary.remembered(text, lambda unread: _read(unread, vocabulary)) if text else Reading()


def _read(text: str, vocabulary: Vocabulary) -> Reading:
    reader = _Reader(plain(text), vocabulary)
    told: dict[str, Mention] = {}
    kept = []
    for clause in reader.clauses():
        mentions = list(reader.mentions(clause))
        for mention in mentions:
            known = told.get(mention.tags[0])
            if known is None or (mention.sign, -mention.topical) < (known.sign, -known.topical):
                told[mention.tags[0]] = mention
        if not reader.denies(clause) and all(mention.sign > 0 for mention in mentions):
            kept.append(clause)
    whole = len(kept) == reader.clause_count
    without_denials = text if whole else " ".join(reader.text[clause.start : clause.end].strip() for clause in kept)
    return Reading(tuple(told.values()), without_denials.strip())


class _Reader:
    """A plain text with its tokens, the tags named in it and its cues, each in order of place."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.text = text
        tokens = tokens_of(text)
        cues = _cues(text)
        named = [name for name in _named(text, tokens, vocabulary) if not _covered(name, cues)]
        self._tokens = _Places(tokens)
        self._named = _Places(named)
        self._cues = _Places([cue for cue in cues if not self._named.overlap(cue.start, cue.end)])
        self.clause_count = 0

    def clauses(self) -> Iterator[_Clause]:
        """The clauses that have a word in them."""
        start = 0
        for end in [*self._ends(SENTENCE_END, 0, len(self.text)), None]:
            stop = len(self.text) if end is None else end.start()
            asked = end is not None and end.group()[0] in "?？"
            for clause in self._split(start, stop, asked):
                if self._tokens.within(clause.start, clause.end):
                    self.clause_count += 1
                    yield clause
            start = stop if end is None else end.end()

    def _ends(self, pattern: re.Pattern[str], start: int, stop: int) -> list[re.Match[str]]:
        """Where the pattern ends something, but not inside a tag."""
        found = pattern.finditer(self.text, start, stop)
        return [end for end in found if not self._named.overlap(end.start(), end.end())]

    def _split(self, start: int, stop: int, asked: bool) -> Iterator[_Clause]:
        """A sentence at its commas and contrasts, but not at the commas of a list of tags."""
        ends = self._ends(CLAUSE_END, start, stop)
        begin = start
        for place, end in enumerate(ends):
            following = ends[place + 1].start() if place + 1 < len(ends) else stop
            in_list = end.group("list") and (self._is_list(begin, end.start()) or self._is_list(end.end(), following))
            begin = end.end()
            if not in_list:
                yield _Clause(start, end.start(), asked)
                start = begin
        yield _Clause(start, stop, asked)

    def _is_list(self, start: int, end: int) -> bool:
        """Whether there is nothing but tags and what joins them."""
        words = [word for word in self._tokens.within(start, end) if not self._named.overlap(word.start, word.end)]
        return bool(self._named.within(start, end)) and all(word.text in CONNECTIVES for word in words)

    def denies(self, clause: _Clause) -> bool:
        """Whether the clause speaks against something, or of somebody else."""
        roles = {cue.kind.role for cue in self._cues.within(clause.start, clause.end)}
        return bool(roles & {"dislikes", "not", "once"}) or self._is_of_others(clause)

    def mentions(self, clause: _Clause) -> Iterator[Mention]:
        """What the clause says of each tag it names; nothing when it asks, or speaks of somebody else."""
        named = self._named.within(clause.start, clause.end)
        if not named or clause.asked or self._is_of_others(clause):
            return
        cues = [cue for cue in self._cues.within(clause.start, clause.end) if cue.kind.role != "skip"]
        ends_it = ANY_MORE.search(self.text[clause.start : clause.end].rstrip()) is not None
        for name in named:
            sign, before, topical = self._judge(name, named, cues, clause, ends_it)
            if sign:
                taken_back = sign < 0 and (before or ends_it)
                yield Mention(name.tags, sign, taken_back or before, topical or taken_back)

    def _judge(
        self, name: _Named, named: Sequence[_Named], cues: Sequence[_Cue], clause: _Clause, ends_it: bool
    ) -> tuple[int, bool, bool]:
        """Sign, before and topical of a tag: by what follows it at once, else by the cue before it, else by one after it."""
        for kind, pattern in AFTER_MENTION:
            if pattern.match(self.text, name.end, clause.end):
                return (1 if kind.role == "likes" else -1), kind.before, kind.topical
        earlier = [place for place, cue in enumerate(cues) if cue.end <= name.start]
        if earlier:
            return self._effect(cues, earlier[-1], named, ends_it)
        for place, cue in enumerate(cues):
            after = self._tokens.within(cue.end, clause.end)
            if cue.kind.role in ("likes", "dislikes") and all(word.text in ENDINGS for word in after):
                return self._effect(cues, place, named, ends_it)
        return 1, False, False

    def _effect(self, cues: Sequence[_Cue], place: int, named: Sequence[_Named], ends_it: bool) -> tuple[int, bool, bool]:
        """What a cue says with the negations just before it."""
        cue = cues[place]
        if cue.kind.role == "neither":
            return 0, False, False
        if cue.kind.role in ("not", "once"):
            return self._bare_negation(cue, named, ends_it)
        turns = list(self._turns(cues, place, named))
        before, topical = any(turn.kind.before for turn in turns), any(turn.kind.topical for turn in turns)
        if cue.kind.role == "dislikes":
            return (0 if turns else -1), cue.kind.before, cue.kind.topical
        if len(turns) > 1:
            return 0, False, False
        return (-1 if turns else 1), before, topical or cue.kind.topical

    def _turns(self, cues: Sequence[_Cue], place: int, named: Sequence[_Named]) -> Iterator[_Cue]:
        """The negations that stand close before a cue, with no tag between."""
        while place > 0 and cues[place - 1].kind.role in ("not", "once"):
            start, end = cues[place - 1].end, cues[place].start
            if len(self._tokens.within(start, end)) > NEAR or any(start <= name.start < end for name in named):
                return
            place -= 1
            yield cues[place]

    def _bare_negation(self, cue: _Cue, named: Sequence[_Named], ends_it: bool) -> tuple[int, bool, bool]:
        """A negation without a word of liking: `not football` is against it, `I don't own a car` is not."""
        first = min(name.start for name in named if name.start >= cue.end)
        between = [token.text for token in self._tokens.within(cue.end, first)]
        if cue.kind.before or ends_it or all(word in FILLERS for word in between):
            return -1, cue.kind.before, cue.kind.topical
        return 0, False, False

    def _is_of_others(self, clause: _Clause) -> bool:
        words = self._tokens.within(clause.start, clause.end)
        return bool(words) and OTHERS.match(self.text, words[0].start, clause.end) is not None


class _Places(Generic[_Place]):
    """Places in order, none inside another, found by where they are."""

    def __init__(self, places: Sequence[_Place]) -> None:
        self._places: Sequence[_Place] = places
        self._starts = [place.start for place in places]

    def within(self, start: int, end: int) -> Sequence[_Place]:
        """Those that begin in this stretch."""
        return self._places[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def overlap(self, start: int, end: int) -> bool:
        """Whether one of them shares a character with this stretch."""
        before = bisect_left(self._starts, end) - 1
        return before >= 0 and self._places[before].end > start


def _named(text: str, tokens: Sequence[Token], vocabulary: Vocabulary) -> Iterator[_Named]:
    """The tags in the text, the longest ones, left to right."""
    place = 0
    while place < len(tokens):
        found = vocabulary.tag_at(tokens, place)
        length = 1
        if found is not None:
            length, tags = found
            token, last = tokens[place], tokens[place + length - 1]
            if (
                len(token.text) > 1
                or length > 1
                or not UNSPACED.match(token.text)
                or BESIDE_ONE_CHARACTER.match(text, last.end)
            ):
                yield _Named(token.start, last.end, tags)
        place += length


def _covered(name: _Named, cues: Sequence[_Cue]) -> bool:
    """Whether the tag is a part of a cue: nobody is to be silenced by a tag called `not`."""
    place = bisect_left(cues, name.start + 1, key=lambda cue: cue.start) - 1
    return place >= 0 and name.end <= cues[place].end


def _cues(text: str) -> list[_Cue]:
    found = []
    for pattern, kinds in TABLES:
        for match in pattern.finditer(text):
            assert match.lastindex is not None
            found.append(_Cue(match.start(), match.end(), kinds[match.lastindex - 1]))
    return sorted(found, key=lambda cue: cue.start)
