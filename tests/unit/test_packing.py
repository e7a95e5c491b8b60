"""States as the changelog and the stores keep them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as some

from consumers.runtime.packing import MARK, Packed, pack, unpack
from consumers.runtime.store import Position, Store
from schemas.state import UserState, encode_state


@given(some.binary())
def test_what_is_packed_comes_back(state: bytes) -> None:
    assert unpack(pack(state)) == state


def test_a_state_of_many_events_takes_less_than_half() -> None:
    state = b"".join(b'["event-%d","item-%d",1.0],' % (number, number * 7919) for number in range(50))
    assert len(pack(state)) < len(state) / 2


def test_what_an_earlier_version_kept_is_read_as_it_is(tmp_path: Path) -> None:
    plain = encode_state(UserState(version=1))
    assert not plain.startswith(MARK) and unpack(plain) == plain
    store = Store(tmp_path, 0)
    store.write({"earlier": Packed(plain), "now": pack(plain)}, Position(1))
    assert store.load(["earlier", "now"]) == {"earlier": plain, "now": plain}
    store.close()


@given(some.binary(max_size=40))
def test_what_is_damaged_comes_back_as_it_is_or_as_something_else_but_never_fails(rest: bytes) -> None:
    kept = MARK + b"\x10\x00\x00\x00" + rest
    assert unpack(kept) == kept or len(unpack(kept)) <= 16


def test_a_block_whose_length_is_impossible_or_cut_off_comes_back_as_it_is() -> None:
    for kept in (MARK, MARK + b"\x10\x00", MARK + b"\xff\xff\xff\xff", pack(b"state" * 50)[:-3]):
        assert unpack(kept) == kept
