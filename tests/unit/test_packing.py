"""States as the changelog and the stores keep them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lz4.block
import zstandard
from hypothesis import given
from hypothesis import strategies as some

from consumers.runtime.packing import LZ4_MARK, MARK, MOST_BYTES, Packed, pack, unpack
from consumers.runtime.store import Position, Store
from schemas.state import UserState, encode_state


@given(some.binary())
def test_what_is_packed_comes_back(state: bytes) -> None:
    assert unpack(pack(state)) == state


def test_a_state_of_many_events_takes_less_than_a_third() -> None:
    state = b"".join(b'["event-%d","item-%d",1.0],' % (number, number * 7919) for number in range(50))
    assert len(pack(state)) < len(state) / 3


def test_what_earlier_versions_kept_is_read(tmp_path: Path) -> None:
    plain = encode_state(UserState(version=1))
    by_lz4 = LZ4_MARK + lz4.block.compress(plain)
    assert not plain.startswith((MARK, LZ4_MARK)) and unpack(plain) == unpack(by_lz4) == plain
    store = Store(tmp_path, 0)
    store.write({"first": Packed(plain), "lz4": Packed(by_lz4), "now": pack(plain)}, Position(1))
    assert store.load(["first", "lz4", "now"]) == {"first": plain, "lz4": plain, "now": plain}
    store.close()


@given(some.binary(max_size=40), some.sampled_from([MARK, LZ4_MARK + b"\x10\x00\x00\x00"]))
def test_what_is_damaged_comes_back_as_it_is_or_as_something_else_but_never_fails(rest: bytes, mark: bytes) -> None:
    kept = mark + rest
    assert unpack(kept) == kept or mark == MARK or len(unpack(kept)) <= 16


def test_what_is_cut_off_or_of_impossible_length_comes_back_as_it_is() -> None:
    too_long = zstandard.FRAME_HEADER + b"\xe0" + (MOST_BYTES + 1).to_bytes(8, "little") + b"\x01\x00\x00"
    assert zstandard.frame_content_size(too_long) > MOST_BYTES
    for kept in (LZ4_MARK, LZ4_MARK + b"\x10\x00", LZ4_MARK + b"\xff\xff\xff\xff", pack(b"state" * 50)[:-3], too_long, MARK):
        assert unpack(kept) == kept


def test_each_thread_packs_by_itself() -> None:
    states = [b"state %d " % number * 200 for number in range(400)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda state: unpack(pack(state)), states)) == states
