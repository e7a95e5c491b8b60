"""Which tags a text about oneself names, and how: `I love hiking but not football`, 不再关注美食.

Only a reader: whatever a text asks for, all that comes of it are tags of the catalogue, liked or not. English and Chinese are
read alike, in one pass, since people mix them. A tag that is merely named in a text about oneself is liked. One that is denied
anywhere in it is not: taking something back must not fail because it is named twice.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from consumers.statements.free_text_cues import (
    AFTER_MENTION,
    ANY_MORE,
    ASKED,
    CLAUSE_END,
    CONNECTIVES,
    DEEDS,
    ENDINGS,
    EVERYTHING,
    FILLERS,
    OTHERS,
    SENTENCE_END,
    TABLES,
    CueKind,
)
from consumers.statements.vocabulary import UNSPACED, Token, Vocabulary, plain, tokens_of

DENYING = {"not", "hedge", "without", "dislikes"}
"""Roles of cues that turn an exception round: `nothing but jazz`, `not without jazz`."""
SPEAKING_AGAINST = {*DENYING, "once", "except"}
SIGNS = {"likes": 1, "dislikes": -1, "not": -1, "neither": 0}
"""Of what is said right after a tag."""
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
    excepted: bool = False
    """It follows an `all … but`, and is nothing but tags."""


class _Heard(NamedTuple):
    """What a clause holds: tags, and the cues that count. `ends_it` when it ends as what is taken back does: `any more`."""

    clause: _Clause
    named: Sequence[_Named]
    cues: Sequence[_Cue]
    closing: int
    ends_it: bool


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
        begin, excepted = start, False
        for place, end in enumerate(ends):
            following = ends[place + 1].start() if place + 1 < len(ends) else stop
            before_list = self._is_list(end.end(), following)
            in_list = end.group("list") and (before_list or self._is_list(begin, end.start()))
            begin = end.end()
            if not in_list:
                yield _Clause(start, end.start(), asked, excepted)
                excepted = before_list and end.group() == "but" and self._is_everything(start, end.start())
                start = begin
        yield _Clause(start, stop, asked, excepted)

    def _is_everything(self, start: int, end: int) -> bool:
        """Whether a stretch speaks of all there is, and denies nothing."""
        denies = any(cue.kind.role in DENYING for cue in self._cues.within(start, end))
        return not denies and EVERYTHING.search(self.text, start, end) is not None

    def _is_list(self, start: int, end: int) -> bool:
        """Whether there is nothing but tags and what joins them."""
        words = [word for word in self._tokens.within(start, end) if not self._named.overlap(word.start, word.end)]
        return bool(self._named.within(start, end)) and all(word.text in CONNECTIVES for word in words)

    def denies(self, clause: _Clause) -> bool:
        """Whether the clause speaks against something, or of somebody else."""
        roles = {cue.kind.role for cue in self._cues.within(clause.start, clause.end)}
        return clause.excepted or bool(roles & SPEAKING_AGAINST) or self._is_of_others(clause)

    def mentions(self, clause: _Clause) -> Iterator[Mention]:
        """What the clause says of each tag it names; nothing when it asks, or speaks of somebody else."""
        named = self._named.within(clause.start, clause.end)
        text = self.text[clause.start : clause.end].rstrip()
        if not named or clause.asked or ASKED.search(text) or self._is_of_others(clause):
            return
        cues = [cue for cue in self._cues.within(clause.start, clause.end) if cue.kind.role != "skip"]
        heard = _Heard(clause, named, cues, self._closing(cues, clause), ANY_MORE.search(text) is not None)
        for name in named:
            sign, before, topical = self._judge(name, heard)
            if sign:
                taken_back = sign < 0 and (before or heard.ends_it)
                yield Mention(name.tags, sign, taken_back or before, topical or taken_back)

    def _judge(self, name: _Named, heard: _Heard) -> tuple[int, bool, bool]:
        """Sign, before and topical of a tag: by what follows it at once, else by the cue before it, else by one after it."""
        clause, cues = heard.clause, heard.cues
        place = bisect_right(cues, name.start, key=lambda cue: cue.end) - 1
        role = cues[place].kind.role if place >= 0 else "skip"
        if clause.excepted or role == "besides":
            return -clause.excepted, False, False
        for kind, pattern in AFTER_MENTION:
            if pattern.match(self.text, name.end, clause.end):
                return (0 if role == "hedge" else SIGNS[kind.role]), kind.before, kind.topical
        if place >= 0:
            return self._effect(place, heard)
        return self._effect(heard.closing, heard) if heard.closing >= 0 else (1, False, False)

    def _closing(self, cues: Sequence[_Cue], clause: _Clause) -> int:
        """The place of the first cue that ends the clause, and so is about tags before it (`golf I never play`); else -1."""
        words = self._tokens.within(clause.start, clause.end)
        ends = max((word.start for word in words if word.text not in ENDINGS), default=0)
        done = max((word.start for word in words if word.text not in DEEDS), default=0)
        for place, cue in enumerate(cues):
            role = cue.kind.role
            if (role in ("likes", "dislikes") and ends < cue.end) or (role == "hedge" and done < cue.end):
                return place
            if role == "not" and done < cue.end <= words[-1].start:
                return place
        return -1

    def _effect(self, place: int, heard: _Heard) -> tuple[int, bool, bool]:
        """What a cue says with the negations before it."""
        kind = heard.cues[place].kind
        undone = kind.role in ("without", "except") and any(cue.kind.role in DENYING for cue in heard.cues[:place])
        if undone or kind.role == "neither":
            return 0, False, False
        if kind.role == "except":
            return -1, False, False
        if kind.role not in ("likes", "dislikes"):
            return self._bare_negation(heard.cues[place], heard)
        turns = list(self._turns(heard.cues, place))
        before, topical = any(turn.kind.before for turn in turns), any(turn.kind.topical for turn in turns)
        if kind.role == "dislikes":
            return (0 if turns else -1), kind.before, kind.topical
        if len(turns) > 1:
            return 0, False, False
        return (-1 if turns else 1), before, topical or kind.topical

    def _turns(self, cues: Sequence[_Cue], place: int) -> Iterator[_Cue]:
        """The negations that stand close before a cue, with no tag between."""
        while place > 0:
            turn, between = cues[place - 1], (cues[place - 1].end, cues[place].start)
            if len(self._tokens.within(*between)) > turn.kind.turns_within or self._named.within(*between):
                return
            yield turn
            place -= 1

    def _bare_negation(self, cue: _Cue, heard: _Heard) -> tuple[int, bool, bool]:
        """A negation without a word of liking: `not football` is against it; `I don't own a car` and `rarely` are not."""
        following = bisect_left(heard.named, cue.end, key=lambda name: name.start)
        first = heard.named[following].start if following < len(heard.named) else heard.clause.end
        between = self._tokens.within(cue.end, first)
        plainly = cue.kind.role != "hedge" and all(token.text in FILLERS for token in between)
        return -(cue.kind.before or heard.ends_it or plainly), cue.kind.before, cue.kind.topical

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
            kind = kinds[match.lastindex - 1]
            found.append(_Cue(match.start(), match.end(), kind))
            for following, follows in kind.then:
                if then := following.match(text, match.end()):
                    found.append(_Cue(*then.span("then"), follows))
    found.sort(key=lambda cue: cue.start)
    return [cue for place, cue in enumerate(found) if place == 0 or cue.start >= found[place - 1].end]
