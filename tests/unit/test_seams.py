"""Who may import whom; see docs/architecture.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "producers", "consumers", "deploy")
ROLES = {"profiler", "narrator", "catalog"}
PURE_ROOMS: dict[str, set[str]] = {
    "statements": set(),
    "lists": {"statements", "catalogue", "encoded_users", "search", "language", "tag_table"},
    "texts": {"statements", "runtime"},
}
"""Rooms of consumers without clock or network, and what each may know of the others; of the runtime, its types."""
INFERENCE = ("Generation", "InferenceClient", "Sampling", "Vectors")
"""What the others may use of consumers/inference."""


def modules() -> Iterator[Path]:
    for room in (*ROOMS, "model_repository"):
        yield from (ROOT / room).rglob("*.py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def users_of(library: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(name == library or name.startswith(library + ".") for name in imports(path))
    }


def from_rooms(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} & set(ROOMS)


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("schemas", {"schemas"}),
        ("producers", {"schemas", "producers"}),
        ("consumers", {"schemas", "consumers"}),
        ("model_repository", set()),
    ],
)
def test_a_room_imports_only_what_lies_below_it(room: str, allowed: set[str]) -> None:
    for path in (ROOT / room).rglob("*.py"):
        assert from_rooms(path) <= allowed, path


def test_the_runtime_imports_no_role_and_no_pure_part() -> None:
    for path in (ROOT / "consumers" / "runtime").glob("*.py"):
        ours = {name for name in imports(path) if name.startswith("consumers")}
        assert all(name.startswith("consumers.runtime") for name in ours), path


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_pure_rooms_know_each_other_one_way(room: str) -> None:
    for path in (ROOT / "consumers" / room).glob("*.py"):
        known = {name for name in imports(path) if name.startswith("consumers.")}
        assert {name.split(".")[1] for name in known} <= {room, *PURE_ROOMS[room]}, path
        runtime = {name for name in known if name.startswith("consumers.runtime")}
        assert all(name.startswith("consumers.runtime.processor") for name in runtime), path


def test_each_outside_library_has_one_owner() -> None:
    assert users_of("faiss") == {"consumers/search/faiss_index.py"}
    assert users_of("pymilvus") == {"consumers/search/milvus_index.py"}
    assert users_of("rocksdict") == {"consumers/runtime/store.py"}
    assert {str(Path(path).parent) for path in users_of("tritonclient")} == {"consumers/inference"}
    kafka = {path for path in users_of("confluent_kafka") if path.startswith("consumers")}
    assert all(path.startswith("consumers/runtime/") for path in kafka)


def test_roles_know_the_inference_client_but_not_what_it_is_made_of() -> None:
    for path in modules():
        if path.parent != ROOT / "consumers" / "inference":
            inside = {name for name in imports(path) if name.startswith("consumers.inference.")}
            assert inside <= {f"consumers.inference.{name}" for name in INFERENCE}, path


def test_only_the_transaction_module_begins_and_commits() -> None:
    for path in modules():
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        if called & {"begin_transaction", "commit_transaction", "abort_transaction", "send_offsets_to_transaction"}:
            assert path.name == "transaction.py", path


def test_pure_parts_know_no_clock_randomness_or_network() -> None:
    room = ROOT / "consumers"
    pure = [path for path in room.glob("*.py") if path.stem not in ROLES]
    pure += [path for pure_room in PURE_ROOMS for path in (room / pure_room).glob("*.py")]
    for path in [*pure, room / "inference" / "breaker.py", room / "inference" / "refused_texts.py"]:
        assert not imports(path) & {"time", "random", "socket", "uuid", "requests", "datetime.datetime"}, path


def test_only_the_peers_process_knows_their_packages_and_it_knows_nothing_of_us() -> None:
    worker = "deploy/recs/peer_process/worker.py"
    assert users_of("rectools") == users_of("implicit") == {worker}
    assert not from_rooms(ROOT / worker)
