import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import TCPServer
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from rich.cells import cell_len
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from consumers.runtime.health import Health
from deploy.live_commands import register
from deploy.scrape import (
    Endpoint,
    Growth,
    Snapshot,
    endpoints,
    growth,
    merged,
    parse,
    quantile,
    rate,
    read_workers,
    scrape,
)
from deploy.top import Look, Model, Monitor, Quantiles, Triton, Worker, triton_model
from deploy.top_view import top_view
from schemas import metrics
from schemas.errors import Retryable
from schemas.settings import RuntimeSettings, Settings

NEVER_A_PID = 2**22 + 1


class Process:
    """The metrics of a made-up process, exposed as a real one exposes them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.letters = Counter("letters", "x", ["reason"], registry=self.registry)
        self.lag = Gauge("lag", "x", ["topic"], registry=self.registry)
        self.seconds = Histogram("stage_seconds", "x", buckets=(0.01, 0.1, 1), registry=self.registry)

    def snapshot(self, taken_s: float) -> Snapshot:
        return parse(generate_latest(self.registry).decode(), taken_s)


def test_rates_come_from_counter_differences_by_label() -> None:
    process = Process()
    process.letters.labels(reason="not_json").inc(5)
    before = process.snapshot(100.0)
    process.letters.labels(reason="not_json").inc(20)
    process.letters.labels(reason="invalid").inc(10)
    after = process.snapshot(102.0)
    assert rate(before, after, "letters_total") == 15.0
    assert rate(before, after, "letters_total", reason="not_json") == 10.0
    assert rate(before, after, "letters_total", reason="unheard_of") is None
    assert after.by_label("letters_total", "reason") == {"not_json": 25.0, "invalid": 10.0}


def test_a_restarted_process_counts_from_zero() -> None:
    first, second = Process(), Process()
    first.letters.labels(reason="x").inc(1000)
    second.letters.labels(reason="x").inc(7)
    assert rate(first.snapshot(0.0), second.snapshot(1.0), "letters_total") == 7.0


def test_quantiles_are_of_what_was_observed_between_the_readings() -> None:
    process = Process()
    for _ in range(1000):
        process.seconds.observe(0.9)
    before = process.snapshot(0.0)
    assert quantile(before, before, "stage_seconds", 0.5) is None
    for _ in range(100):
        process.seconds.observe(0.05)
    after = process.snapshot(1.0)
    assert quantile(before, after, "stage_seconds", 0.5) == pytest.approx(0.055)
    assert quantile(before, after, "stage_seconds", 1.0) == pytest.approx(0.1)


def test_a_quantile_in_the_open_bucket_is_its_lower_bound() -> None:
    process = Process()
    before = process.snapshot(0.0)
    process.seconds.observe(50)
    assert quantile(before, process.snapshot(1.0), "stage_seconds", 0.99) == 1.0


def test_processes_are_merged_by_adding_their_growth() -> None:
    one, two = Process(), Process()
    pairs = [(process, process.snapshot(0.0)) for process in (one, two)]
    one.letters.labels(reason="x").inc(3)
    two.letters.labels(reason="x").inc(4)
    both = merged(growth(before, process.snapshot(1.0)) for process, before in pairs)
    assert both.rate("letters_total") == 7.0
    assert merged([]).rate("letters_total") is None
    assert Growth({}, 0.0).quantile("stage_seconds", 0.5) is None


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def nonsense_url() -> Iterator[str]:
    """A server of somebody else."""

    def answer(environ: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [])  # type: ignore[operator]
        return [b"<html>hello</html>\x00{{"]

    server: TCPServer = make_server("127.0.0.1", 0, answer, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_programs_server_is_refused(nonsense_url: str) -> None:
    with pytest.raises(Retryable, match="Prometheus format"):
        scrape(nonsense_url)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Settings]:
    """A real /metrics of this process, announced as a profiler."""
    settings = Settings(runtime=RuntimeSettings(folder=tmp_path))
    health = Health(settings.runtime, "profiler")
    health.start()
    health.ready(True)
    yield settings
    health.ready(False)
    health.stop()


def test_finds_running_workers_and_shows_dead_ones_as_down(running: Settings) -> None:
    folder = running.runtime.folder
    dead = {"role": "narrator", "replica": "1", "pid": NEVER_A_PID, "url": "http://127.0.0.1:1"}
    (folder / "endpoints" / "narrator-1.json").write_text(json.dumps(dead))
    (folder / "endpoints" / "odd.json").write_text("{}")
    found = {reading.endpoint.name: reading for reading in read_workers(endpoints(folder))}
    assert found["profiler-0"].snapshot is not None
    assert found["narrator-1"].snapshot is None and "has died" in found["narrator-1"].failure
    assert "not readable" in found["odd-?"].failure
    assert read_workers([Endpoint("a", "0", 1, "http://127.0.0.1:1")])[0].failure


def test_two_looks_give_rates_lag_and_latencies(running: Settings) -> None:
    monitor = Monitor(running)
    metrics.FOLDED.labels(kind="event").inc(0)
    before = monitor.look()
    assert before.rates_per_s["lists"] is None
    metrics.LISTS.inc(100)
    metrics.LIST_SECONDS.observe(0.015)
    metrics.LAG.labels(topic="behavior-events").set(42)
    metrics.DEAD_LETTERS.labels(reason="test_top").inc(3)
    after = monitor.look()
    rate_per_s = after.rates_per_s["lists"]
    assert rate_per_s is not None and rate_per_s > 0
    assert after.latencies_s["list stage"].p50 == pytest.approx(0.015)
    assert after.lag_messages["profiler ← behavior-events"] == 42
    assert after.dead_letters["test_top"] == 3
    assert [worker.state for worker in after.workers] == ["ready"]
    assert after.triton.state == "unknown"
    said = json.loads(after.as_json())
    assert said["latencies_s"]["list stage"]["p99"] == pytest.approx(0.01990)
    assert "\n" not in after.as_json()


def triton_says(requests: int, failures: int) -> str:
    """Triton 2.51's own exposition, shortened: counters without `_total`."""
    labels = '{model="user_encoder",version="1"}'
    values = {
        "request_success": requests, "request_failure": failures, "count": requests * 4, "exec_count": requests // 2,
        "queue_duration_us": requests * 400, "compute_infer_duration_us": requests * 6000,
    }  # fmt: skip
    lines = [f"# TYPE nv_inference_{name} counter\nnv_inference_{name}{labels} {value}" for name, value in values.items()]
    pending = f"# TYPE nv_inference_pending_request_count gauge\nnv_inference_pending_request_count{labels} 3"
    return "\n".join([*lines, pending, ""])


def test_reads_a_models_numbers_as_triton_exposes_them() -> None:
    before, after = parse(triton_says(100, 0), 0.0), parse(triton_says(300, 1), 2.0)
    read = triton_model("user_encoder", after, growth(before, after))
    assert read == Model("user_encoder", 100.0, 8.0, 0.0004, 0.006, 3, 1)
    assert triton_model("not_loaded", after, growth(before, after)).requests_per_s is None


def a_look(workers: int = 3) -> Look:
    some = Quantiles(0.008, 0.019, 0.041)
    none = Quantiles(None, None, None)
    wave = [None] * 20 + [float(1000 + 700 * ((second * 7) % 11)) for second in range(40)]
    running = [
        Worker("catalog-0", "catalog", "ready", "", 0.0, none, 4),
        Worker("profiler-0", "profiler", "ready", "", 3120.0, some, 4),
        Worker("narrator-0", "narrator", "not ready", "", 0.4, some, 0),
        *(Worker(f"profiler-{index}", "profiler", "ready", "", 1.0, some, 1) for index in range(1, workers)),
        Worker("profiler-9", "profiler", "down", "process 4711 has died", None, none, 0),
    ]
    return Look(
        at_ms=1_780_000_000_000,
        folder=".portrait",
        workers=tuple(running),
        triton=Triton(
            "up",
            "",
            (
                Model("text_encoder", 1.0, 18.0, 0.0003, 0.021, 0, 0),
                Model("user_encoder", 110.0, 64.0, 0.0004, 0.0061, 1, 0),
                Model("profile_llm", 0.4, 7.5, 0.31, 4.2, 12, 2),
            ),
        ),
        rates_per_s={"events": 3120.0, "lists": 812.0, "profiles": 0.4, "llm_tokens": 38.2, "items": 0.0},
        latencies_s={
            "list stage": some, "commit of catalog": none, "commit of narrator": some, "commit of profiler": some,
            "LLM text": Quantiles(4.1, 7.9, 9.8),
        },
        lag_messages={
            "profiler ← behavior-events": 1234, "profiler ← user-attributes": 0, "profiler ← user-controls": 0,
            "profiler ← user-profiles": 3, "narrator ← profile-requests": 17, "catalog ← items": 0,
        },
        narrator_queue_users=87,
        sentences={"llm": 80, "plain": 20},
        dead_letters={"not_json": 120, "invalid": 88, "key_mismatch": 9, "unknown_version": 4},
        aborts={"migrated": 1},
        retries={"Retryable": 6},
        history={name: wave for name in ("events", "lists", "profiles", "llm_tokens")},
    )  # fmt: skip


def picture(look: Look, width: int = 100, height: int | None = None) -> str:
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(top_view(look, width, height))
    return console.export_text()


def test_shows_everything_worth_a_look() -> None:
    text = picture(a_look())
    for wanted in (
        "4 of 6 workers ready", "not ready", "down  process 4711 has died", "3,120 /s", "38 /s", "8.0 ms", "41 ms", "9.8 s",
        "profiler ← behavior-events", "1,234", "87", "not_json", "120", "aborted transactions", "profile_llm", "310 ms", "80%",
    ):  # fmt: skip
        assert wanted in text, wanted
    dead_letters = next(line for line in text.splitlines() if "dead letters" in line)
    assert dead_letters.rstrip("│ ").endswith("221")


@pytest.mark.parametrize(("width", "height"), [(100, 30), (140, 40), (80, 30)])
@pytest.mark.parametrize("workers", [1, 12])
def test_fits_the_terminal(width: int, height: int, workers: int) -> None:
    lines = picture(a_look(workers), width, height).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert any("Faults" in line for line in lines[:height])
    assert len(lines) <= height


def test_hostile_names_are_shown_as_they_are() -> None:
    hostile = "\x1b[2J[red]x[/red]\n"
    text = picture(
        Look(
            at_ms=0, folder=hostile, workers=(Worker(hostile, "x", "down", hostile, None, Quantiles(None, None, None), 0),),
            triton=Triton("down", hostile), rates_per_s={}, latencies_s={}, lag_messages={hostile: 1}, narrator_queue_users=0,
            sentences={}, dead_letters={hostile: 1}, aborts={}, retries={},
        )
    )  # fmt: skip
    assert "\x1b" not in text and "[red]x[/red]" in text


def test_without_any_worker_it_says_what_to_do() -> None:
    look = Look(
        at_ms=0, folder=".", workers=(), triton=Triton("unknown", "`portrait up` starts one"), rates_per_s={}, latencies_s={},
        lag_messages={}, narrator_queue_users=0, sentences={}, dead_letters={}, aborts={}, retries={},
    )  # fmt: skip
    text = picture(look)
    assert "portrait run ROLE" in text and "portrait up" in text


def run_top(settings: Settings, monkeypatch: pytest.MonkeyPatch, option: str) -> str:
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(settings.runtime.folder))
    app = Typer()
    register(app)
    result = CliRunner().invoke(app, ["top", option], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_prints_one_snapshot(running: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run_top(running, monkeypatch, "--once")
    assert "1 of 1 workers ready" in text and "profiler-0" in text


def test_the_command_prints_one_json_line(running: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run_top(running, monkeypatch, "--json")
    assert text.count("\n") == 1
    said = json.loads(text)
    assert said["workers"][0]["state"] == "ready"
    assert said["rates_per_s"]["lists"] == 0.0
