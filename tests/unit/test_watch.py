import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from deploy.display import bar, clock, duration, number, shown, sparkline
from deploy.watch import Change, Watched
from deploy.watch_lines import change_line, present_lines
from deploy.watch_view import evidence, watch_view
from schemas.errors import BadMessage
from schemas.messages import (
    BehaviorEvent,
    Cause,
    ConsentControl,
    EditControl,
    EraseControl,
    Reason,
    Recommendations,
    RecommendedItem,
    Sentence,
    Statement,
    UserAttributes,
    UserProfile,
)
from schemas.topics import BEHAVIOR_EVENTS, RECOMMENDATIONS, USER_PROFILES

NOW_MS = 1_780_000_000_000
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]free[/bold red]\u202e gnp.exe\n\nnext\u200b line \x9b31m" + "长" * 5000
CAUSE = Cause(topic=BEHAVIOR_EVENTS.name, partition=0, offset=7, record_time_ms=NOW_MS - 23, waiting_since_ms=NOW_MS - 23)


def a_user() -> Watched:
    return Watched("user-a", frozenset({"recommendations"}))


def event(number: int, kind: str = "view", **fields: object) -> BehaviorEvent:
    given = {"event_id": f"a-{number}", "user_id": "user-a", "item_id": f"item-{number}", "type": kind}
    return BehaviorEvent.model_validate({**given, "event_time_ms": NOW_MS - 60_000 + number * 1000, **fields})


def a_profile(statements: list[Statement], summary: list[Sentence]) -> UserProfile:
    return UserProfile(
        user_id="user-a", request_id="r", language="zh", state_version=5, event_count=4, statements=statements,
        summary=summary, text_vector=[], model_name="profile_llm", model_version="1", generated_at_ms=NOW_MS - 5,
        requested_at_ms=NOW_MS - 800, cause=CAUSE,
    )  # fmt: skip


def worked_profile() -> UserProfile:
    return a_profile(
        [
            Statement(topic="运动", stance="likes", strength=0.91, evidence=["field:tags", "event:a-1", "event:a-3"]),
            Statement(topic="科技", stance="likes", strength=0.74, evidence=["field:tags", "event:a-2"]),
            Statement(topic="旅游", stance="likes", strength=0.62, evidence=["field:tags", "event:a-4"]),
            Statement(topic="age", stance="is", value="25", strength=1.0, evidence=["field:age"]),
            Statement(topic="gender", stance="is", value="male", strength=1.0, evidence=["field:gender"]),
            Statement(topic="商品B", stance="viewed", strength=0.5, evidence=["event:a-1"]),
        ],
        [
            Sentence(text="25岁男性，对运动、科技、旅游感兴趣。", source="llm", statements=[0, 1, 2, 3, 4]),
            Sentence(text="曾浏览过商品B、商品C、商品D。", source="plain", statements=[5]),
        ],
    )


def a_list(number: int = 10) -> Recommendations:
    items = [
        RecommendedItem(
            item_id=f"i{rank}", title=title, score=0.93 - rank / 30,
            reasons=[Reason(kind="interest", detail="运动"), Reason(kind="similar_to", detail="商品B"), Reason(kind="fresh")],
        )
        for rank, title in enumerate((["轻量越野跑鞋 防滑透气", "Trail running shoes, light and grippy"] * number)[:number])
    ]  # fmt: skip
    return Recommendations(
        user_id="user-a", items=items, state_version=5, model_name="user_encoder", model_version="1", catalog_size=480,
        generated_at_ms=NOW_MS, cause=CAUSE,
    )  # fmt: skip


def worked_example() -> Watched:
    user = a_user()
    user.titles |= {"item-1": "商品B", "item-2": "商品C", "item-3": "商品D", "item-4": "A weekend in Lisbon"}
    attributes = UserAttributes(
        user_id="user-a", updated_at_ms=NOW_MS, age=25, gender="male", language="zh", tags=["运动", "科技", "旅游"]
    )
    consent = ConsentControl(user_id="user-a", issued_at_ms=NOW_MS, purpose="profile", granted=True)
    messages = [attributes, consent, *(event(index) for index in range(1, 5)), event(5, "search", item_id=None, text="跑鞋")]
    for message in [*messages, worked_profile(), a_list()]:
        user.take("", NOW_MS, message)
    return user


def picture(user: Watched, width: int = 100, height: int | None = None) -> str:
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(watch_view(user, NOW_MS, width, height))
    return console.export_text()


def test_shows_events_with_titles_and_the_statements_they_support() -> None:
    cells = [line.split("││")[0].split()[2:] for line in picture(worked_example()).splitlines() if "││" in line]
    assert ["view", "商品B", "1", "6"] in cells
    assert ["view", "A", "weekend", "in", "Li…", "3"] in cells
    assert "“跑鞋”" in picture(worked_example())


def test_marks_who_wrote_each_sentence_and_what_it_rests_on() -> None:
    text = picture(worked_example())
    assert " LLM  25岁男性，对运动、科技、旅游感兴趣。 1 2 3 4 5" in text
    assert "plain 曾浏览过商品B、商品C、商品D。 6" in text
    assert "tags, a-1, a-3" in text


def test_shows_rank_title_score_and_reasons() -> None:
    row = next(line for line in picture(worked_example()).splitlines() if " 1 轻量越野跑鞋" in line)
    assert "0.930" in row
    assert "likes 运动 · similar to 商品B · new" in row


@pytest.mark.parametrize(("width", "height"), [(100, 30), (140, 40), (80, 24)])
def test_fills_the_terminal_and_no_more(width: int, height: int) -> None:
    user = worked_example()
    for index in range(100):
        user.take("", NOW_MS, event(index))
    many = [Statement(topic=f"topic {index}", stance="likes", strength=0.5, evidence=["event:x"]) for index in range(40)]
    user.take("", NOW_MS, a_profile(many, [Sentence(text="word " * 60, source="llm", statements=[0])]))
    lines = picture(user, width, height).splitlines()
    assert len(lines) == height
    assert all(cell_len(line) <= width for line in lines)
    assert any("more" in line for line in lines)


def test_hostile_text_moves_no_cursor_and_breaks_no_column() -> None:
    user = a_user()
    user.user_id = HOSTILE
    user.titles["item-1"] = HOSTILE
    user.take("", NOW_MS, event(1, text=HOSTILE[:4000], event_id="a-1"))
    statement = Statement(topic=HOSTILE, stance="likes", strength=1, evidence=["event:" + HOSTILE, "field:" + HOSTILE])
    user.take("", NOW_MS, a_profile([statement], [Sentence(text=HOSTILE, source="llm", statements=[0])]))
    item = RecommendedItem(item_id="x", title=HOSTILE, score=1.0, reasons=[Reason(kind="interest", detail=HOSTILE)])
    user.take("", NOW_MS, a_list().model_copy(update={"items": [item]}))
    user.refuse(NOW_MS, BEHAVIOR_EVENTS.name, BadMessage("not_json", "x"))
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(watch_view(user, NOW_MS, 100))
    text = console.export_text(clear=False)
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e", "\u200b", "\r"}
    assert "[bold red]free[/bold red]" in text, "markup is shown as it is, never obeyed"
    assert {cell_len(line) for line in text.splitlines()[1:]} == {100}
    message = user.recommendations
    assert set(change_line(user, Change(RECOMMENDATIONS.name, NOW_MS, message), NOW_MS)).isdisjoint("\x1b\n\x07\u202e")


def test_an_erased_user_is_shown_as_erased() -> None:
    user = worked_example()
    user.take("", NOW_MS, EraseControl(user_id="user-a", issued_at_ms=NOW_MS))
    text = picture(user)
    assert "Erased at" in text and "no profile is kept" in text
    assert not any(gone in text for gone in ("商品", "运动", "LLM", "越野"))
    user.take("", NOW_MS, event(9))
    assert "item-9" in picture(user)


def test_a_withdrawn_profile_and_list_are_gone() -> None:
    user = worked_example()
    assert user.take(USER_PROFILES.name, NOW_MS, None)
    assert user.take(RECOMMENDATIONS.name, NOW_MS, None)
    text = picture(user)
    assert "The profile was withdrawn." in text and "The list was withdrawn." in text and "25岁男性" not in text


def test_without_consent_it_says_how_to_agree() -> None:
    user = a_user()
    user.take("", NOW_MS, event(1))
    text = picture(user)
    assert "○ profile not allowed" in text and "● lists allowed" in text
    assert "not agreed" in text and '"kind": "consent"' in text


def test_an_unknown_user_is_told_what_to_do() -> None:
    user = a_user()
    user.neighbours.append("somebody")
    text = picture(user)
    assert "No event" in text and "portrait demo" in text and "somebody" in text


def test_nobody_is_called_unknown_before_all_was_read() -> None:
    user = a_user()
    user.loading = True
    assert "being read" in picture(user) and "Nobody" not in picture(user)


def test_lines_for_a_pipe() -> None:
    user = worked_example()
    lines = present_lines(user, NOW_MS)
    assert any("event    view 商品B" in line for line in lines)
    assert any("[llm] 25岁男性" in line and "[plain] 曾浏览过" in line for line in lines)
    assert any("list     1 轻量越野跑鞋" in line for line in lines)
    edit = EditControl(user_id="user-a", issued_at_ms=NOW_MS, topic="科技", stance="not_interested")
    assert change_line(user, Change("", NOW_MS, edit), NOW_MS).endswith("edit     科技: not_interested")
    assert change_line(user, Change(USER_PROFILES.name, NOW_MS, None), NOW_MS).endswith("gone     user-profiles")
    user.refuse(NOW_MS, BEHAVIOR_EVENTS.name, BadMessage("not_json", "x"))
    assert any(line.endswith("refused  not_json in behavior-events") for line in present_lines(user, NOW_MS))
    assert present_lines(a_user(), NOW_MS)[0].endswith("nothing is known of user-a yet")


def test_evidence_names_what_fits_and_counts_the_rest() -> None:
    sources = ["field:tags", *(f"event:e-{index}" for index in range(9))]
    statement = Statement(topic="x", stance="likes", strength=1, evidence=sources)
    assert evidence(statement, 20) == "tags, e-0, e-1 +7"
    assert evidence(statement, 5) == "10 s…"


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [
        ("short", 10, "short"),
        ("a\tb\r\nc", 10, "a b c"),
        ("运动科技旅游", 12, "运动科技旅游"),
        ("运动科技旅游", 11, "运动科技旅…"),
        ("运动科技旅游", 10, "运动科技…"),
        ("\x1b[31mred", 10, "[31mred"),
        ("e" + "\u0301" * 50, 10, "e\u0301\u0301"),
        ("", 5, ""),
    ],
)  # fmt: skip
def test_shown(text: str, cells: int, expected: str) -> None:
    assert shown(text, cells) == expected
    assert cell_len(shown(text, cells)) <= cells


def test_numbers_and_bars() -> None:
    assert (bar(0, 4), bar(0.01, 4), bar(0.5, 4), bar(1, 4)) == ("▱▱▱▱", "▰▱▱▱", "▰▰▱▱", "▰▰▰▰")
    assert sparkline([None, 0, 5, 10], 5) == "  ▁▅█"
    assert sparkline(list(range(100)), 3)[-1] == "█" and len(sparkline(list(range(100)), 3)) == 3
    assert (number(None), number(1234.4), number(0.25), number(7)) == ("–", "1,234", "0.2", "7")
    assert (duration(None), duration(0.0042), duration(0.042), duration(1.24), duration(83)) == (
        "–", "4.2 ms", "42 ms", "1.2 s", "83 s",
    )  # fmt: skip
    assert clock(NOW_MS - 3 * 86_400_000, NOW_MS).count("-") == 2 and clock(NOW_MS, NOW_MS).count(":") == 2
