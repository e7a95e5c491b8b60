"""Is every word of a text borne out by statements? Strict: what cannot be read as facts and function words is refused.

The text is read as a sequence of pieces: facts (tags, titles, declared values), words of a closed lexicon, quotes. A small
context (which stance the last verb asserted, whether it was negated or past, which change it claimed) runs along, so a dislike
told as a like, or a lasting interest told as a new one, is seen. Of all readings the one with the fewest faults counts; a text
is grounded when that one has none.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from consumers.texts.grounding_pieces import Facts, Piece, fold, pieces_at
from consumers.texts.grounding_words import (
    ADULT,
    ASSERTS,
    CHANGED,
    CHILD,
    CHOSEN,
    CLOSE,
    DANGLING,
    DISLIKES,
    FINAL,
    FROM,
    GENDER,
    HABIT,
    IS,
    IS_OF,
    LEXICON,
    LIKES,
    LONGER,
    LOST,
    NEGATED,
    NEGATION,
    NOR,
    NOW,
    OPENS,
    PAST,
    RESET,
    REVERSED,
    STOP,
    STRONG,
    TENDS,
    TRENDS_CLAIMED,
    UNLIKED,
    VIEWED,
)
from consumers.texts.prompt_texts import TEXTS
from schemas.messages import Language, Statement

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
    """What the words so far assert of the facts to come.

    `closing` is the effect of the Chinese words that must follow. `told`: a fact was named since the last claim of any kind;
    `named`: since the last verb; `beside`: and no comma or conjunction since; `changed`: every one named is new or reversed.
    """

    stance: str = ""
    negated: bool = False
    past: bool = False
    trend: str = ""
    told: bool = False
    named: bool = False
    beside: bool = False
    changed: bool = False
    closing: str = ""


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


def read(text: str, statements: Sequence[Statement], language: Language, required: Sequence[int] | None = None) -> Reading:
    """The reading of the text with the fewest faults, and what the text leaves out.

    `required` are the indexes of the statements it must name; without, the likes, or the dislikes when there are none.
    """
    if not text.strip():
        return Reading([Fault("empty", "")], [])
    if len(text) > LENGTH_BESIDE_FACTS + 2 * sum(len(s.topic) + len(s.value or "") for s in statements):
        return Reading([Fault("length", str(len(text)))], [])
    path = _best_path(text, Facts(statements, language))
    faults = [step.fault for step in path if step.fault is not None]
    mentions = [step.statement for step in path if step.statement is not None]
    faults += _shape_faults(text, path, mentions, statements, language)
    needed = _required(statements) if required is None else required
    names = [_named(statement, language) for statement in statements]
    said = {(statements[index].stance, fold(names[index])) for index in mentions}  # two facts may read alike
    faults += [
        Fault("missing", names[index]) for index in needed if (statements[index].stance, fold(names[index])) not in said
    ]
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
        yield context._replace(told=True, named=True), Fault(piece.effect, piece.text), None
    elif piece.kind == "fact":
        yield from _read_fact(context, piece, facts)
    elif piece.kind == "gender":
        yield context, _gender_fault(piece, facts), facts.index_of.get("gender")
    else:
        yield from _read_word(context, piece)


def _read_fact(context: _Context, piece: Piece, facts: Facts) -> Iterator[_Outcome]:
    following = context._replace(told=True, named=True, beside=True, changed=False)
    fitting = [index for index in piece.statements if _asserts(context, facts.statements[index])]
    for index in fitting:
        trend = facts.statements[index].trend or ""
        wrong = context.trend and trend not in TRENDS_CLAIMED[context.trend]
        changed = trend in TRENDS_CLAIMED[NOW] and (context.changed or not context.named)
        yield following._replace(changed=changed), Fault("trend", piece.text) if wrong else None, index
    if not fitting:
        yield following, Fault("polarity", piece.text), None


def _asserts(context: _Context, statement: Statement) -> bool:
    """Whether naming the statement's topic in this context says what the statement says."""
    if context.past and statement.stance != VIEWED:
        return False
    if statement.stance == IS:
        return context.stance in ("", IS, IS_OF) and not (context.negated or context.trend)
    if statement.stance == HABIT:
        return context.stance in (HABIT, f"{HABIT} {statement.topic}") and not (context.negated or context.trend)
    stance = DISLIKES if context.stance == UNLIKED else context.stance
    return stance == statement.stance and not (statement.stance == VIEWED and (context.negated or context.trend))


def _gender_fault(piece: Piece, facts: Facts) -> Fault | None:
    if facts.gender != piece.effect:
        return Fault("gender", piece.text)
    if facts.age is not None and piece.text in (ADULT if facts.age < ADULT_AGE else CHILD):
        return Fault("age", piece.text)
    return None


def _read_word(context: _Context, piece: Piece) -> Iterator[_Outcome]:
    """A word of the lexicon. Where it leaves a Chinese 对 unclosed or something claimed of no fact, that is a fault."""
    effect = piece.effect
    unclosed = Fault("polarity", f"对 … {piece.text}") if context.closing else None
    if effect == STOP:
        yield _Context(), unclosed or _untold(context), None
    elif effect == RESET:
        ended = context.trend == NOW and context.named and not context.told  # `likes drama now and tea`
        following = context._replace(negated=context.negated and not context.told, beside=False)
        yield following, Fault("trend", NOW) if ended else None, None
    elif effect in (NEGATION, NOR, LOST):
        goes_on = effect == NOR and context.told  # `neither opera nor horror`
        twice = Fault("polarity", piece.text) if context.negated and not goes_on else None
        stance = NEGATED.get(context.stance, context.stance)
        yield _claiming(context, REVERSED if effect == LOST else "")._replace(stance=stance, negated=True), twice, None
    elif effect == LONGER:
        yield _claiming(context, REVERSED), None if context.negated else Fault("polarity", piece.text), None
    elif effect == PAST:
        yield _claiming(context, "")._replace(past=True), None, None
    elif effect == CHANGED:
        yield context, None if context.trend or context.stance == VIEWED else Fault("trend", piece.text), None
    elif effect in TRENDS_CLAIMED:
        yield _claiming(context, effect), None, None
        if piece.text == NOW and context.beside and context.changed:  # `likes tea now`
            yield context, None, None
    elif effect in OPENS:
        for closing, stance, trend in OPENS[effect]:
            following = _claiming(context, trend)._replace(stance=stance, named=False, beside=False, closing=closing)
            yield following, unclosed or _dropped(context, stance), None
    elif effect.startswith(CLOSE):
        closed = effect == context.closing and context.told
        yield _Context(), None if closed else Fault("polarity", piece.text), None
    elif effect in ASSERTS:
        yield from _read_assertion(context, piece, unclosed)
    else:
        yield context, None, None


def _claiming(context: _Context, trend: str) -> _Context:
    """The context after a word that claims something of the facts to come: what was claimed of those before is over."""
    if context.told:
        context = context._replace(trend="", past=False, told=False)
    return context._replace(trend=trend or context.trend)


def _untold(context: _Context) -> Fault | None:
    """The fault of a sentence that ends with a claim of no fact: `likes drama, but never.`"""
    if context.trend and not context.told:
        return Fault("trend", context.trend)
    if (context.negated or context.past) and not context.told:
        return Fault("polarity", "not …" if context.negated else "past …")
    return Fault("polarity", f"{context.stance} …") if _awaits_fact(context) else None


def _awaits_fact(context: _Context) -> bool:
    """Whether the last verb still needs a fact; a plain `is` needs none."""
    return context.stance not in ("", IS) and not context.named


def _dropped(context: _Context, stance: str) -> Fault | None:
    """The fault of a verb of no fact before one of another stance: `likes to avoid`, `dislikes the brand`."""
    if not _awaits_fact(context) or context.negated or context.stance in (stance, TENDS):
        return None
    goes_on = stance.startswith(HABIT) and context.stance.startswith((HABIT, LIKES))  # `chooses the brand`
    return None if goes_on else Fault("polarity", f"{context.stance} …")


def _read_assertion(context: _Context, piece: Piece, unclosed: Fault | None) -> Iterator[_Outcome]:
    """A verb, or a noun that tells a habit. `likes` after a negation is a dislike; no other stance can be negated."""
    stance, trend = ASSERTS[piece.effect]
    if piece.effect in (IS, FROM) and _awaits_fact(context):  # `his interests are`, `chooses content from`
        yield context, unclosed, None
        return
    # a noun may follow its fact: `the Northlap brand`, 20-50的价位
    closes = stance.startswith(f"{HABIT} ") and context.stance.startswith(HABIT) and context.beside
    following = _claiming(context, trend or "")._replace(stance=stance, named=closes, beside=closes, closing="")
    if stance == LIKES and context.negated:
        yield following._replace(stance=UNLIKED), unclosed, None
    else:
        twice = context.negated and stance not in (IS, IS_OF)
        unsaid = stance in CHOSEN and context.stance in ("", IS)  # `the author Li Wei likes drama`
        wrong = Fault("polarity", piece.text) if twice or unsaid else None
        yield following, unclosed or wrong or _dropped(context, stance), None


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
        if after.text == FINAL[language] and before.kind == "word" and before.text in DANGLING:
            yield Fault("unfinished", f"{before.text}{after.text}")
    yield from _names_said_twice(words, language)
    too_strong = any(statements[index].stance == LIKES and statements[index].strength < STRONG_STRENGTH for index in mentions)
    if too_strong and any(piece.kind == "word" and piece.text in STRONG for piece in words):
        yield Fault("overstated", next(piece.text for piece in words if piece.text in STRONG))


def _names_said_twice(words: Sequence[Piece], language: Language) -> Iterator[Fault]:
    """A fact that one sentence names more often than there are statements of it."""
    ours = {**LEXICON[language], **GENDER[language]}  # a place called "A" is not named twice by an article
    named: Counter[tuple[int, ...]] = Counter()
    for piece in words:
        if piece.text == FINAL[language]:  # also where a tag is a full stop
            named.clear()
        if piece.kind == "fact" and piece.text not in ours and any(map(str.isalnum, piece.text)):
            named[piece.statements] += 1
            if named[piece.statements] > len(piece.statements):
                yield Fault("repeated", piece.text)


def _required(statements: Sequence[Statement]) -> list[int]:
    """The statements a text cannot leave out: interests that do not fade; without any, the dislikes."""
    likes = [index for index, statement in enumerate(statements) if statement.stance == LIKES and statement.trend != "fading"]
    return likes or [index for index, statement in enumerate(statements) if statement.stance == DISLIKES]


def _named(statement: Statement, language: Language) -> str:
    """What a text has to say to name the statement."""
    value, texts = statement.value or statement.topic, TEXTS.of(language)
    if statement.stance == HABIT:
        return {"time_of_day": texts.times, "format": texts.formats}.get(statement.topic, {}).get(value, value)
    return value
