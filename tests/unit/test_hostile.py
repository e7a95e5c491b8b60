"""What others wrote, printed whole and harmless."""

import json

import pytest

from deploy.hostile import as_json, as_text, escaped_bytes, hex_dump, lines

STEERING = "\x1b\x07\x9b\u202e\u200b\x7f\u2028"


def test_escapes_keep_every_byte_visible() -> None:
    assert escaped_bytes(b"a\x1b[31m\xff\n\xe7\x94\xa8") == "a\\x1b[31m\\xff\\n用"
    assert lines("a\r\nb\x1b\nc\rd") == "a\nb\\x1b\nc\\rd"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_comes_back_and_steers_nothing(indent: int | None) -> None:
    value = {"用户" + STEERING: ["\U000e0001", "line\nbreak", STEERING, 1, None]}
    text = as_json(value, indent)
    assert json.loads(text) == value
    assert not set(text) & set(STEERING) and "\U000e0001" not in text and "用户" in text


def test_text_is_told_from_bytes() -> None:
    assert as_text("好\n\t".encode()) == "好\n\t"
    for data in (b"\xff", b"a\x00", b"\x1b[2J", "\x9b".encode()):
        assert as_text(data) is None


def test_hex_dump_has_every_byte() -> None:
    data = bytes(range(256)) + b"x"
    dump = list(hex_dump(data))
    assert bytes.fromhex("".join(line[10:57] for line in dump)) == data
    assert dump[0].startswith("00000000  00 01") and dump[-1].split() == ["00000100", "78", "x"]
