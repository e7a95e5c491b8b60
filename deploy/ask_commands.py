"""`portrait ask`: a few questions to a user nothing is known of; the answers are declared like any other attributes."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.command_output import console, ended_by_errors, say, say_json
from deploy.user_argument import UserId
from schemas.errors import ConfigError
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from consumers.statements.questionnaire import Questionnaire
    from schemas.messages import Item, Language, UserAttributes

YES = frozenset({"y", "yes", "j", "1", "是", "喜欢", "有", "对", "好"})
NO = frozenset({"n", "no", "0", "否", "不", "不是", "不喜欢", "没有", "不感兴趣"})
PASS = frozenset({"", "s", "skip", "?", "跳过", "不知道"})
STOP = frozenset({"q", "quit", "退出"})
QUESTION = {"en": "Are you interested in {}?", "zh": "你对{}感兴趣吗？"}
HINT = {"en": "y/n, Enter to skip, q to stop", "zh": "是/否，回车跳过，q 结束"}
AGAIN = {"en": "Please answer y or n.", "zh": "请回答“是”或“否”。"}
MAX_TAG_CELLS = 60

Asked = tuple[dict[str, bool], int]
"""Answers by tag, and how many questions were put."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ask)


def ask(
    user: UserId,
    questions: Annotated[int, typer.Option(min=1, max=64, help="how many to put at most")] = 5,
    language: Annotated[str | None, typer.Option(help="en or zh; default: the user's own, else the setting")] = None,
    grant_profile: Annotated[bool, typer.Option(help="also give the user's consent to a profile")] = False,
) -> None:
    """Ask a user what interests them, and publish the answers.

    Each question is the tag that splits what is left of the catalogue best, by the answers so far. What the user declared
    before is kept. The list follows at once; a profile too, where the user has consented to one. Ends with one line of JSON.
    """
    from deploy.local.record import running_stack

    with ended_by_errors():
        settings = running_stack(load_settings())
        items, known = _catalogue(settings), _declared(settings, user)
        chosen = _language(language, known, settings)
        answers, asked = _put(_questionnaire(items, chosen), known, questions, chosen)
        if answers or grant_profile:
            _publish(settings, user, known, answers, chosen, grant_profile)
    say_json({"report": "ask", "user_id": user, "language": chosen, "asked": asked, "answers": answers})


def _language(given: str | None, known: "UserAttributes | None", settings: Settings) -> "Language":
    if given not in (None, "en", "zh"):
        raise ConfigError(f"--language is en or zh, not {given}")
    declared = known.language if known is not None else None
    return "zh" if (given or declared or settings.profiler.default_language) == "zh" else "en"


def _questionnaire(items: "list[Item]", language: "Language") -> "Questionnaire":
    from consumers.statements.questionnaire import Questionnaire

    if not any(item.tags for item in items):
        raise ConfigError("there is nothing to ask about: no item in the topic items has tags; send some first")
    return Questionnaire(items, language)


def _put(questionnaire: "Questionnaire", known: "UserAttributes | None", questions: int, language: "Language") -> Asked:
    """Put the questions until they are enough, nothing is left to ask, or the user stops."""
    before = _said(known)
    answers: dict[str, bool] = {}
    passed: list[str] = []
    screen = console()
    screen.print(HINT[language])
    while len(answers) + len(passed) < questions:
        tag = questionnaire.next_tag({**before, **answers}, passed)
        answer = None if tag is None else _answer(tag, language)
        if tag is None or answer == "stop":
            break
        if answer == "pass":
            passed.append(tag)
        else:
            answers[tag] = answer == "yes"
    return answers, len(answers) + len(passed)


def _said(known: "UserAttributes | None") -> dict[str, bool]:
    return {} if known is None else {**dict.fromkeys(known.tags, True), **known.answers}


def _answer(tag: str, language: "Language") -> str:
    """yes, no, pass or stop; the end of the input is stop."""
    from rich.text import Text

    from deploy.display import shown

    screen = console()
    screen.print(Text(QUESTION[language].format(shown(tag, MAX_TAG_CELLS)), style="bold"))
    while True:
        try:
            given = input("> " if sys.stdin.isatty() else "").strip().casefold()
        except EOFError:
            return "stop"
        for meaning, words in (("yes", YES), ("no", NO), ("pass", PASS), ("stop", STOP)):
            if given in words:
                return meaning
        screen.print(AGAIN[language])


def _catalogue(settings: Settings) -> "list[Item]":
    """The newest version of every item."""
    from deploy.reading import decoded, read_all
    from schemas.errors import BadMessage
    from schemas.messages import Item
    from schemas.topics import ITEMS

    items: dict[str, Item] = {}
    for record in read_all(settings.kafka, (ITEMS,)):
        try:
            key, message = decoded(record, settings.fold)
        except BadMessage:
            continue  # the catalog worker sends it to dead-letters
        items.pop(key, None)
        if isinstance(message, Item):
            items[key] = message
    return list(items.values())


def _declared(settings: Settings, user: str) -> "UserAttributes | None":
    """What the user declared last, as the profiler takes it: the newest by its own time."""
    from deploy.reading import decoded, read_all
    from schemas.errors import BadMessage
    from schemas.messages import UserAttributes
    from schemas.topics import USER_ATTRIBUTES

    known: UserAttributes | None = None
    for record in read_all(settings.kafka, (USER_ATTRIBUTES,), key=user):
        if record.key != user.encode():
            continue
        try:
            _, message = decoded(record, settings.fold)
        except BadMessage:
            continue
        if message is None:
            known = None
        elif isinstance(message, UserAttributes) and (known is None or message.updated_at_ms >= known.updated_at_ms):
            known = message
    return known


def _publish(
    settings: Settings,
    user: str,
    known: "UserAttributes | None",
    answers: dict[str, bool],
    language: "Language",
    grant_profile: bool,
) -> None:
    from producers.publisher import Publisher
    from schemas.messages import ConsentControl, UserAttributes
    from schemas.topics import USER_ATTRIBUTES, USER_CONTROLS

    now_ms = time.time_ns() // 1_000_000
    before = known or UserAttributes(user_id=user, updated_at_ms=now_ms)
    kept = {tag: likes for tag, likes in before.answers.items() if tag not in answers}
    update = {
        "updated_at_ms": max(now_ms, before.updated_at_ms),
        "language": before.language or language,
        "answers": dict([*kept.items(), *answers.items()][-64:]),  # as many as a message may hold, the newest
    }
    with Publisher(settings.kafka) as publisher:
        if answers:
            publisher.send(USER_ATTRIBUTES, user, before.model_copy(update=update))
        if grant_profile:
            consent = ConsentControl(user_id=user, issued_at_ms=now_ms, purpose="profile", granted=True)
            publisher.send(USER_CONTROLS, user, consent)
    say(f"sent; see what follows from it: portrait watch {user}")
