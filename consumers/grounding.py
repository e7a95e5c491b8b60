"""Is every word of a text borne out by statements? Strict: what cannot be read as facts and function words is refused.

The text is read as a sequence of pieces: facts (tags, titles, declared values), words of a closed lexicon, quotes. A small
context (which stance the last verb asserted, whether it was negated) runs along, so a dislike told as a like is seen. Of all
readings the one with the fewest faults counts; a text is grounded when that one has none.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from consumers.grounding_pieces import Facts, Piece, fold, pieces_at
from consumers.grounding_words import (
    ADULT,
    CHILD,
    CLOSE_DISLIKES,
    CLOSE_LIKES,
    DISLIKES,
    FINAL,
    GENDER,
    IS,
    LEXICON,
    LIKES,
    NEGATION,
    OPEN,
    RESET,
    STOP,
    STRONG,
    VIEWED,
)
from schemas.messages import Language, Statement

MAIN_LIKES = 3
"""A text must name this many interests, if there are as many."""
LENGTH_BESIDE_FACTS = 300
STRONG_STRENGTH = 0.5
ADULT_AGE = 18


class Fault(NamedTuple):
    """One thing wrong with a text: `kind` is a short stable code, used as a metric label; `detail` names the words."""

    kind: str
    detail: str


class Reading(NamedTuple):
    """What a text says: its faults, and the indexes of the statements it names."""

    faults: list[Fault]
    mentioned: list[int]


class _Context(NamedTuple):
    stance: str = ""
    negated: bool = False
    open: bool = False


class _Step(NamedTuple):
    """The best way known to a position and context; `previous` leads back to the start."""

    cost: int
    piece: Piece | None
    fault: Fault | None
    statement: int | None
    previous: "_Step | None"


FAULT_COST = 1000


def check(text: str, statements: Sequence[Statement], language: Language) -> list[Fault]:
    """What in the text is not borne out by the statements; empty: grounded."""
    return read(text, statements, language).faults


def read(text: str, statements: Sequence[Statement], language: Language) -> Reading:
    """The reading of the text with the fewest faults, and what the text leaves out."""
    if not text.strip():
        return Reading([Fault("empty", "")], [])
    if len(text) > LENGTH_BESIDE_FACTS + 2 * sum(len(s.topic) + len(s.value or "") for s in statements):
        return Reading([Fault("length", str(len(text)))], [])
    path = _best_path(text, Facts(statements, language))
    faults = [step.fault for step in path if step.fault is not None]
    mentions = [step.statement for step in path if step.statement is not None]
    faults += _shape_faults(text, path, mentions, statements, language)
    faults += [Fault("missing", statements[index].topic) for index in _required(statements) if index not in mentions]
    if not mentions:
        faults.append(Fault("missing", "any fact"))
    return Reading(faults, sorted(set(mentions)))


def _best_path(text: str, facts: Facts) -> list[_Step]:
    """Shortest path over (position, context). A fault is dear, a fact cheaper than a word: long facts win over their parts."""
    folded = fold(text)
    reached: list[dict[_Context, _Step]] = [{} for _ in range(len(text) + 1)]
    reached[0][_Context()] = _Step(0, None, None, None, None)
    for position in range(len(text)):
        if not reached[position]:
            continue
        for piece in pieces_at(text, folded, position, facts):
            for context, step in reached[position].items():
                for following, fault, statement in _read_piece(context, piece, facts):
                    cost = step.cost + (1 if piece.kind == "fact" else 2) + (FAULT_COST if fault else 0)
                    known = reached[piece.end].get(following)
                    if known is None or cost < known.cost:
                        reached[piece.end][following] = _Step(cost, piece, fault, statement, step)
    last: _Step | None = min(reached[-1].values(), key=lambda step: step.cost)
    path = []
    while last is not None and last.piece is not None:
        path.append(last)
        last = last.previous
    return path[::-1]


_Outcome = tuple[_Context, Fault | None, int | None]


def _read_piece(context: _Context, piece: Piece, facts: Facts) -> Iterator[_Outcome]:
    """Every way to go on after the piece: the context then, what was wrong, and which statement was named."""
    if piece.kind == "unknown":
        yield context, Fault(piece.effect, piece.text), None
    elif piece.kind == "fact":
        yield from _read_fact(context, piece, facts)
    elif piece.kind == "gender":
        yield context, _gender_fault(piece, facts), facts.index_of.get("gender")
    else:
        yield from _read_word(context, piece)


def _read_fact(context: _Context, piece: Piece, facts: Facts) -> Iterator[_Outcome]:
    fitting = [index for index in piece.statements if _asserts(context, facts.statements[index])]
    for index in fitting:
        yield context, None, index
    if not fitting:
        yield context, Fault("polarity", piece.text), None


def _asserts(context: _Context, statement: Statement) -> bool:
    """Whether naming the statement's topic in this context says what the statement says."""
    if statement.stance == IS:
        return context.stance in ("", IS) and not context.negated
    return context.stance == statement.stance and not (statement.stance == VIEWED and context.negated)


def _gender_fault(piece: Piece, facts: Facts) -> Fault | None:
    if facts.gender != piece.effect:
        return Fault("gender", piece.text)
    if facts.age is not None and piece.text in (ADULT if facts.age < ADULT_AGE else CHILD):
        return Fault("age", piece.text)
    return None


def _read_word(context: _Context, piece: Piece) -> Iterator[_Outcome]:
    effect, stance = piece.effect, context.stance
    unclosed = Fault("polarity", f"对 … {piece.text}") if context.open else None
    if effect == STOP:
        yield _Context(), unclosed, None
    elif effect == RESET:
        yield context._replace(negated=False), None, None
    elif effect == NEGATION:
        fault = Fault("polarity", piece.text) if context.negated and piece.text != "longer" else None
        yield _Context(DISLIKES if stance == LIKES else stance, True), fault, None
    elif effect == OPEN:
        yield _Context(LIKES, open=True), unclosed, None
        yield _Context(DISLIKES, open=True), unclosed, None
    elif effect in (CLOSE_LIKES, CLOSE_DISLIKES):
        agrees = context.open and stance == (LIKES if effect == CLOSE_LIKES else DISLIKES)
        yield _Context(), None if agrees else Fault("polarity", piece.text), None
    elif effect == LIKES:
        yield context._replace(stance=DISLIKES if context.negated else LIKES, open=False), unclosed, None
    elif effect in (DISLIKES, VIEWED, IS):
        twice = Fault("polarity", piece.text) if context.negated and effect != IS else None
        yield context._replace(stance=effect, open=False), unclosed or twice, None
    else:
        yield context, None, None


def _shape_faults(
    text: str, path: Sequence[_Step], mentions: Sequence[int], statements: Sequence[Statement], language: Language
) -> Iterator[Fault]:
    """Faults of the text as a whole: cut short, said twice, said too strongly."""
    if not text.rstrip().rstrip("\"”'’》").endswith(FINAL[language]):
        yield Fault("unfinished", text[-20:])
    words = [step.piece for step in path if step.piece is not None and step.piece.text.strip()]
    for before, after in pairwise(words):
        if before.text == after.text and "fact" not in (before.kind, after.kind):
            yield Fault("repeated", after.text)
    ours = {**LEXICON[language], **GENDER[language]}  # a place called "A" is not named twice by an article
    named = [p for p in words if p.kind == "fact" and p.text not in ours and any(map(str.isalnum, p.text))]
    for piece in named:
        if sum(other.statements == piece.statements for other in named) > len(piece.statements):
            yield Fault("repeated", piece.text)
    too_strong = any(statements[index].stance == LIKES and statements[index].strength < STRONG_STRENGTH for index in mentions)
    if too_strong and any(piece.kind == "word" and piece.text in STRONG for piece in words):
        yield Fault("overstated", next(piece.text for piece in words if piece.text in STRONG))


def _required(statements: Sequence[Statement]) -> list[int]:
    """The statements a text cannot leave out: the main interests; without any, the dislikes."""
    by_stance = {stance: [i for i, s in enumerate(statements) if s.stance == stance] for stance in (LIKES, DISLIKES)}
    return by_stance[LIKES][:MAIN_LIKES] or by_stance[DISLIKES]
