"""What users say of their interests themselves: declared tags, free text, a questionnaire's answers, and comments.

Words have a time. One against a tag wins over whatever happened before it, one for it over all that spoke against it; what
happens later counts again. Where one message says both, the word against wins.
"""

from collections.abc import Sequence
from typing import NamedTuple

from consumers.statements.clean_text import clean
from consumers.statements.free_text import Mention, read
from consumers.statements.vocabulary import Vocabulary
from schemas.state import Attributes, UserState


class Word(NamedTuple):
    """The user's word on one tag: 1 for, -1 against, with what it rests on.

    `before` says that it tells of the opposite having held: `no longer into chess`.
    """

    tag: str
    sign: int
    evidence: tuple[str, ...]
    before: bool = False


class Said(NamedTuple):
    """Words of one moment, by case-folded tag; `place` is how many events of the history came before it."""

    place: int
    words: dict[str, Word]


def own_words(state: UserState, vocabulary: Vocabulary) -> Sequence[Said]:
    """Everything the user said, oldest first. What follows from edits is not in it: they hold for good."""
    said = _in_comments(state, vocabulary) if vocabulary and "comment" in state.type_counts else []
    attributes = state.attributes
    if attributes is not None and (attributes.tags or attributes.free_text or attributes.answers):
        place = _place(state, attributes.updated_at_ms)
        said.append(Said(place, declared_words(attributes, vocabulary)))
        said.sort(key=_by_place)  # stable: what was declared comes after a comment of the same moment
    return said


def declared_words(attributes: Attributes, vocabulary: Vocabulary) -> dict[str, Word]:
    """What the attributes say of tags, by case-folded tag."""
    words: dict[str, Word] = {}
    for tag in attributes.tags:
        _add(words, Word(clean(tag), 1, ("field:tags",)))
    for tag, likes in sorted(attributes.answers.items()):
        _add(words, Word(clean(tag), 1 if likes else -1, ("field:answers",)))
    if attributes.free_text and vocabulary:
        for mention in read(attributes.free_text, vocabulary).mentions:
            _add_mention(words, mention, "field:free_text")
    return words


def _in_comments(state: UserState, vocabulary: Vocabulary) -> list[Said]:
    """Comments are about an item: only what they say outright of an interest counts here."""
    said = []
    for place, event in enumerate(state.events):
        if event.text is None or event.type != "comment":
            continue
        words: dict[str, Word] = {}
        for mention in read(event.text, vocabulary).mentions:
            if mention.topical:
                _add_mention(words, mention, f"event:{event.event_id}")
        if words:
            said.append(Said(place + 1, words))
    return said


def _add_mention(words: dict[str, Word], mention: Mention, evidence: str) -> None:
    """A liked tag in its nearest spelling; one that is not, in all."""
    for tag in mention.tags if mention.sign < 0 else mention.tags[:1]:
        _add(words, Word(tag, mention.sign, (evidence,), mention.before))


def _add(words: dict[str, Word], word: Word) -> None:
    key = word.tag.casefold()
    known = words.get(key)
    if known is None or word.sign < known.sign:
        before = word.before or (known is not None and word.sign < 0)  # declared once, and now denied
        words[key] = word._replace(tag=word.tag if known is None else known.tag, before=before)
    elif word.sign == known.sign:
        evidence = tuple(dict.fromkeys((*known.evidence, *word.evidence)))
        words[key] = known._replace(evidence=evidence, before=known.before or word.before)
    elif known.sign < 0:
        words[key] = known._replace(before=True)


def _by_place(said: Said) -> int:
    return said.place


def _place(state: UserState, time_ms: int) -> int:
    """How many events are not later than this."""
    place = len(state.events)
    while place > 0 and state.events[place - 1].event_time_ms > time_ms:
        place -= 1
    return place
