"""Messages as no producer should send them: valid ones with their bytes, their JSON structure or their fields spoilt."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from producers.malformed import malformed_messages
from schemas.messages import EVENT_TYPES, SCHEMA_VERSION, VERSION_HEADER
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES, Topic

Headers = list[tuple[str, bytes | None]]
START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
VERSION: Headers = [(VERSION_HEADER, b"%d" % SCHEMA_VERSION)]


class Sent(NamedTuple):
    """A record as it would lie on its topic; `spoilt` is how it was spoilt, None for a valid one."""

    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    spoilt: str | None = None


def clean_messages(seed: int, count: int, users: int) -> Iterator[Sent]:
    """Valid messages of so many users: events for the most part, and everything else a profiler reads."""
    chance = random.Random(f"clean {seed}")
    for number in range(count):
        user_id, now_ms = f"user-{chance.randrange(users):06}", START_MS + 10 * number
        topic, message = _valid(chance, user_id, f"event-{seed}-{number}", now_ms)
        yield Sent(topic, user_id.encode(), json.dumps(message).encode(), VERSION, now_ms)


def _valid(chance: random.Random, user_id: str, event_id: str, now_ms: int) -> tuple[Topic, dict[str, Any]]:
    kind = chance.random()
    if kind < 0.9:
        return BEHAVIOR_EVENTS, {
            "event_id": event_id, "user_id": user_id, "item_id": f"item-{chance.randrange(5000)}",
            "type": chance.choice(EVENT_TYPES), "event_time_ms": now_ms - chance.randrange(HOUR_MS),
            "value": chance.choice([None, 1.0, 5.0]), "text": chance.choice([None, "trail running shoes"]),
            "surface": "home", "domain": "ecommerce", "session_id": f"session-{chance.randrange(10**6)}",
        }  # fmt: skip
    if kind < 0.94:
        declared = {"age": chance.randrange(100), "tags": ["sports", "travel"], "free_text": "I like the sea"}
        return USER_ATTRIBUTES, {"user_id": user_id, "updated_at_ms": now_ms, "language": "en", **declared}
    if kind < 0.96:
        return USER_PROFILES, _profile(user_id, event_id, now_ms)
    issued = {"user_id": user_id, "issued_at_ms": now_ms}
    said = chance.choice(
        [
            {"kind": "consent", "purpose": "profile", "granted": True},
            {"kind": "mute", "target": "tag", "value": f"tag-{chance.randrange(30)}", "muted": chance.random() < 0.7},
            {"kind": "edit", "topic": f"topic-{chance.randrange(30)}", "stance": "interested"},
            {"kind": "erase"},
        ]
    )
    return USER_CONTROLS, issued | said


def _profile(user_id: str, request_id: str, now_ms: int) -> dict[str, Any]:
    return {
        "user_id": user_id, "request_id": request_id, "language": "en", "state_version": 1, "event_count": 1,
        "statements": [{"topic": "sports", "stance": "likes", "strength": 0.5, "evidence": ["event:e"]}],
        "summary": [{"text": "Likes sports.", "source": "llm", "statements": [0]}], "text_vector": [0.25] * 64,
        "model_name": "m", "model_version": "1", "generated_at_ms": now_ms, "requested_at_ms": now_ms,
        "cause": {"topic": "t", "partition": 0, "offset": 1, "record_time_ms": now_ms, "waiting_since_ms": now_ms},
    }  # fmt: skip


def fuzzed_messages(seed: int, count: int, users: int) -> Iterator[Sent]:
    """`count` valid messages, each spoilt in one way; some are still valid after it. The same for the same arguments."""
    chance = random.Random(f"fuzzed {seed}")
    hand_made = malformed_messages(seed, count, START_MS)
    for sent in clean_messages(seed, count, users):
        way = chance.choices(WAYS, WEIGHTS)[0]
        if way == "hand_made":
            _, topic, key, value, headers = next(hand_made)
            yield Sent(topic, key, value, list(headers), START_MS, way)
        else:
            yield SPOIL[way](chance, sent)._replace(spoilt=way)


def _bytes(chance: random.Random, sent: Sent) -> Sent:
    value = bytearray(sent.value or b"")
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(value) + 1)
        cut = chance.choice([0, 0, 1, 1, 4, len(value)]) if len(value) > 1 else 0
        value[place : place + cut] = chance.choice([b"", chance.randbytes(1), chance.randbytes(8), *BYTES])
    return sent._replace(value=bytes(value))


def _structure(chance: random.Random, sent: Sent) -> Sent:
    message = json.loads(sent.value or b"")
    names = sorted(message)
    name, other = chance.choice(names), chance.choice(names)
    spoil = chance.randrange(7)
    if spoil == 0:
        del message[name]
    elif spoil == 1:
        message[name], message[other] = message[other], message[name]
    elif spoil == 2:
        message = message | {name: {name: message[name], other: [message]}}
    elif spoil == 3:
        message = [message] * chance.randint(0, 3)
    elif spoil == 4:
        message[name] = [message[name]] * chance.choice([0, 1, 40])
    elif spoil == 5:  # the same key again, with another value
        twice = json.dumps({name: message[other]})
        return sent._replace(value=json.dumps(message)[:-1].encode() + b", " + twice[1:].encode())
    else:
        depth = chance.choice([5, 100, 300, 5000])
        hole = json.dumps(message | {name: "@hole@"})
        return sent._replace(value=hole.replace('"@hole@"', '{"a":[' * depth + "1" + "]}" * depth).encode())
    return sent._replace(value=json.dumps(message).encode())


def _field(chance: random.Random, sent: Sent) -> Sent:
    message = json.loads(sent.value or b"")
    name = chance.choice(sorted(message))
    hole = json.dumps(message | {name: "@hole@"})
    return sent._replace(value=hole.encode().replace(b'"@hole@"', chance.choice(LITERALS)))


def _odd(chance: random.Random, sent: Sent) -> Sent:
    """Odd but within the contract: as long, as wide, as late, as often as it may be."""
    message = json.loads(sent.value or b"")
    number = chance.randrange(30)
    odd: dict[str, Any] = {
        "event_id": f"event-{number}",
        "item_id": f"{number:03}" + "\U0001d54f" * 125,
        "text": chance.choice(["\U0001d54f", "\u202e", "\x1b[2J", "</s>", "a\u0301"]) * 800,
        "surface": f"{chance.randrange(1000)}",
        "value": chance.choice([-1e12, 1e12, 0, -0.0, 5e-324]),
        "type": chance.choice(EVENT_TYPES),
        "event_time_ms": sent.timestamp_ms + chance.choice([24, 1, 0, -1, -719, -721, -300_000]) * HOUR_MS,
        "updated_at_ms": sent.timestamp_ms + chance.choice([24, 1, 0, -300_000]) * HOUR_MS,
        "tags": ["\U0001d54f" * 64] * 32,
        "topic": f"{number:03}" + "\U0001d54f" * 61,
        "state_version": chance.choice([0, 1, 2**53]),
        "granted": False,
        "text_vector": [1.01] * chance.choice([0, 1, 384, 8192]),
        "new_field": {"a": [1, {"b": None}]},
    }
    names = [name for name in odd if name in message or name == "new_field"]
    few = chance.sample(names, chance.randint(1, min(3, len(names))))
    return sent._replace(value=json.dumps(message | {name: odd[name] for name in few}).encode())


def _huge(chance: random.Random, sent: Sent) -> Sent:
    message = json.loads(sent.value or b"")
    name = chance.choice(sorted(message))
    hole = json.dumps(message | {name: "@hole@"})
    return sent._replace(value=hole.encode().replace(b'"@hole@"', chance.choice(HUGE)))


def _envelope(chance: random.Random, sent: Sent) -> Sent:
    """Key, headers, topic or timestamp are not those of the message."""
    changes: Sequence[dict[str, Any]] = [
        {"key": None}, {"key": b""}, {"key": b"someone-else"}, {"key": b"\xff\xfe"}, {"key": b"k" * 100_000},
        {"key": "\U0001f600".encode()}, {"value": None}, {"value": b""}, {"timestamp_ms": 0}, {"timestamp_ms": -1},
        {"timestamp_ms": sent.timestamp_ms - chance.randrange(100 * HOUR_MS)}, {"timestamp_ms": 2**63 - 1},
        {"headers": []}, {"headers": [(VERSION_HEADER, None)]}, {"headers": [(VERSION_HEADER, chance.randbytes(4))]},
        {"headers": [("h" * 1000, chance.randbytes(1000))] * 20}, {"headers": [*VERSION, (VERSION_HEADER, b"2")]},
        {"topic": chance.choice([BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES])},
    ]  # fmt: skip
    return sent._replace(**chance.choice(changes))


BYTES = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b'"', b"\\", b"\\u", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\x1b[2J",
]  # fmt: skip
LITERALS = [
    b"null", b"true", b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1e-999", b"0", b"-0.0", b"-1", b"1.5",
    b"9007199254740993",
    b"18446744073709551616", b"9" * 400, b"1" + b"0" * 4299, b"-" + b"9" * 5000, b"1e400000", b'""', b'"x"', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\u001b]0;x\\u0007"', b'"\\u202e"', b'"1790000000000"', b"[]", b"{}", b"[[]]",
    b"[null, null]", b'["a", "a"]', b'{"__proto__": 1}', b'{"$ref": "#"}', b"1790000000000.0", b"1e12", b"253402300799000",
    b"01", b"+1", b"0x10", b".5", b"'x'", b'"' + "\U0001d54f".encode() * 128 + b'"', b'"' + b"y" * 4001 + b'"', b"undefined",
    b'"event:e"', b"[1.02]", b'"news"', b'"erase"', b"False",
]  # fmt: skip
HUGE = [
    b'"' + b"x" * 900_000 + b'"', b"[" + b"1," * 200_000 + b"1]", b"[" + b"{}," * 200_000 + b"{}]", b"[" * 400_000,
    b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(50_000)) + b"}", b"9" * 900_000, b'"' + b"\\u00e9" * 140_000 + b'"',
    b'["' + b'","'.join([b"z" * 65] * 10_000) + b'"]', b"[" + b'{"topic":1},' * 50_000 + b"{}]",
]  # fmt: skip
SPOIL: dict[str, Callable[[random.Random, Sent], Sent]] = {
    "bytes": _bytes, "structure": _structure, "field": _field, "odd": _odd, "envelope": _envelope, "huge": _huge,
}  # fmt: skip
SHARES = {"bytes": 25, "structure": 20, "field": 25, "odd": 20, "envelope": 7.9, "huge": 0.1, "hand_made": 2}
"""In hundredths. Up to a megabyte each, the huge ones are few: bytes take their time, whatever is in them."""
WAYS, WEIGHTS = list(SHARES), list(SHARES.values())
