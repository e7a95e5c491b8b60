"""What all of Portrait's processes do just now: the state behind `portrait top`. Drawn by top_view.py."""

import json
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from deploy.local.record import read_record, stack_folder
from deploy.scrape import Endpoint, Growth, Reading, Snapshot, endpoints, growth, merged, read_workers
from schemas.settings import Settings
from schemas.tensors import MODELS

WINDOW_S = 10.0
"""Latencies are of this long; a single second holds too few."""
HISTORY = 60
RATES = {
    "events": "portrait_events_folded_total",
    "lists": "portrait_lists_total",
    "profiles": "portrait_profiles_total",
    "llm_tokens": "portrait_llm_tokens_total",
    "items": "portrait_items_encoded_total",
}
LIST_STAGE = "portrait_list_stage_seconds"
COMMIT = "portrait_commit_seconds"
LLM_TEXT = "portrait_llm_seconds"
LAG = "portrait_lag_messages"


@dataclass(frozen=True)
class Quantiles:
    """In seconds; None when nothing was observed in the window."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Worker:
    """One worker process. `state` is ready, not ready or down; `detail` says why it is down."""

    name: str
    role: str
    state: str
    detail: str
    messages_per_s: float | None
    commit_s: Quantiles
    partitions: int


@dataclass(frozen=True)
class Model:
    """One model on Triton. Times are means per request; `pending` waits for execution."""

    name: str
    requests_per_s: float | None
    mean_batch: float | None
    queue_s: float | None
    compute_s: float | None
    pending: int
    failures: int


@dataclass(frozen=True)
class Triton:
    """The model server; `state` is up, down or unknown (its metrics address is not known)."""

    state: str
    detail: str
    models: tuple[Model, ...] = ()


@dataclass(frozen=True)
class Look:
    """What was seen at one moment. Totals count since the processes started; `history` holds one rate a second."""

    at_ms: int
    folder: str
    workers: tuple[Worker, ...]
    triton: Triton
    rates_per_s: Mapping[str, float | None]
    latencies_s: Mapping[str, Quantiles]
    lag_messages: Mapping[str, int]
    narrator_queue_users: int
    sentences: Mapping[str, int]
    dead_letters: Mapping[str, int]
    aborts: Mapping[str, int]
    retries: Mapping[str, int]
    history: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    def as_json(self) -> str:
        """One JSON line, without the history."""
        fields = asdict(self)
        del fields["history"]
        return json.dumps(fields, ensure_ascii=False)


class Monitor:
    """Reads the metrics of every worker of a project folder, and of its Triton, at each look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._past: dict[str, deque[Snapshot]] = {}
        self._history: dict[str, deque[float | None]] = {name: deque(maxlen=HISTORY) for name in RATES}

    def second_look(self, pause_s: float) -> Look:
        """Look twice, `pause_s` apart, since rates need two readings."""
        self.look()
        time.sleep(pause_s)
        return self.look()

    def look(self) -> Look:
        """Read everything now. Rates are since the look before."""
        triton_endpoint, triton_unknown = self._triton_endpoint()
        workers = endpoints(self._settings.runtime.folder)
        readings = read_workers([*workers, *([triton_endpoint] if triton_endpoint else [])])
        recent = {reading.endpoint: self._remember(reading) for reading in readings}
        mine = [(reading, *recent[reading.endpoint]) for reading in readings if reading.endpoint is not triton_endpoint]
        snapshots = [reading.snapshot for reading, _, _ in mine if reading.snapshot]
        last_second = merged(second for _, second, _ in mine if second)
        window = merged(longer for _, _, longer in mine if longer)
        rates = {name: last_second.rate(metric) for name, metric in RATES.items()}
        for name, rate in rates.items():
            self._history[name].append(rate)
        seen = readings[-1] if triton_endpoint else None
        return Look(
            at_ms=time.time_ns() // 1_000_000,
            folder=str(self._settings.runtime.folder),
            workers=tuple(_worker(reading, second, longer) for reading, second, longer in mine),
            triton=_triton(seen, recent[seen.endpoint][1]) if seen else Triton("unknown", triton_unknown),
            rates_per_s=rates,
            latencies_s=_latencies(mine, window),
            lag_messages=_lag(mine),
            narrator_queue_users=int(_sum(snapshots, "portrait_narrator_queue_users")),
            sentences=_totals(snapshots, "portrait_profile_sentences_total", "source"),
            dead_letters=_totals(snapshots, "portrait_dead_letters_total", "reason"),
            aborts=_totals(snapshots, "portrait_aborts_total", "cause"),
            retries=_totals(snapshots, "portrait_retries_total", "cause"),
            history={name: tuple(values) for name, values in self._history.items()},
        )

    def _triton_endpoint(self) -> tuple[Endpoint | None, str]:
        record = read_record(stack_folder(self._settings))
        service = record.service("triton") if record else None
        if service is None:
            return None, "no stack is running in this folder: `portrait up` starts one"
        if "metrics" not in service.addresses:
            return None, "it was not started by Portrait, and only its gRPC address is known"
        return Endpoint("triton", "", service.pid or 0, f"http://{service.addresses['metrics']}"), ""

    def _remember(self, reading: Reading) -> tuple[Growth | None, Growth | None]:
        """What happened since the last look, and within the window; None when there is no earlier reading."""
        place = f"{reading.endpoint.name} {reading.endpoint.pid}"
        past = self._past.setdefault(place, deque())
        snapshot = reading.snapshot
        if snapshot is None:
            past.clear()
            return None, None
        while len(past) > 1 and past[1].taken_s <= snapshot.taken_s - WINDOW_S:
            past.popleft()
        since = (growth(past[-1], snapshot), growth(past[0], snapshot)) if past else (None, None)
        past.append(snapshot)
        return since


Seen = tuple[Reading, Growth | None, Growth | None]


def _quantiles(window: Growth | None, histogram: str, **labels: str) -> Quantiles:
    if window is None:
        return Quantiles(None, None, None)
    return Quantiles(*(window.quantile(histogram, q, **labels) for q in (0.5, 0.95, 0.99)))


def _worker(reading: Reading, second: Growth | None, window: Growth | None) -> Worker:
    snapshot = reading.snapshot
    endpoint = reading.endpoint
    ready = snapshot is not None and snapshot.total("portrait_ready") == 1
    return Worker(
        name=endpoint.name,
        role=endpoint.role,
        state="down" if snapshot is None else "ready" if ready else "not ready",
        detail=reading.failure,
        messages_per_s=second.rate("portrait_messages_total") if second else None,
        commit_s=_quantiles(window, COMMIT),
        partitions=int(snapshot.total("portrait_partitions") or 0) if snapshot else 0,
    )


def _latencies(seen: Sequence[Seen], window: Growth) -> dict[str, Quantiles]:
    roles = sorted({reading.endpoint.role for reading, _, _ in seen if reading.snapshot})
    commits = {
        f"commit of {role}": _quantiles(
            merged(part for reading, _, part in seen if part and reading.endpoint.role == role), COMMIT
        )
        for role in roles
    }
    return {"list stage": _quantiles(window, LIST_STAGE), **commits, "LLM text": _quantiles(window, LLM_TEXT)}


def _lag(seen: Sequence[Seen]) -> dict[str, int]:
    """By `role ← topic`, summed over the role's workers."""
    lag: defaultdict[str, int] = defaultdict(int)
    for reading, _, _ in seen:
        for topic, messages in (reading.snapshot.by_label(LAG, "topic") if reading.snapshot else {}).items():
            lag[f"{reading.endpoint.role} ← {topic}"] += int(messages)
    return dict(sorted(lag.items()))


def _sum(snapshots: Sequence[Snapshot], name: str) -> float:
    return sum(snapshot.total(name) or 0.0 for snapshot in snapshots)


def _totals(snapshots: Sequence[Snapshot], name: str, label: str) -> dict[str, int]:
    totals: defaultdict[str, int] = defaultdict(int)
    for snapshot in snapshots:
        for value, count in snapshot.by_label(name, label).items():
            totals[value] += int(count)
    return {value: count for value, count in sorted(totals.items(), key=lambda pair: -pair[1]) if count}


def _triton(reading: Reading, second: Growth | None) -> Triton:
    if reading.snapshot is None:
        return Triton("down", reading.failure)
    return Triton("up", "", tuple(triton_model(model.name, reading.snapshot, second) for model in MODELS))


def triton_model(name: str, snapshot: Snapshot, second: Growth | None) -> Model:
    """A model's numbers from Triton's metrics; unknown ones are None, as while it is not loaded."""

    def grown(metric: str) -> float:
        return (second.total(metric, model=name) or 0.0) if second else 0.0

    requests, batches = grown("nv_inference_request_success_total"), grown("nv_inference_exec_count_total")
    return Model(
        name=name,
        requests_per_s=second.rate("nv_inference_request_success_total", model=name) if second else None,
        mean_batch=grown("nv_inference_count_total") / batches if batches else None,
        queue_s=grown("nv_inference_queue_duration_us_total") / requests / 1e6 if requests else None,
        compute_s=grown("nv_inference_compute_infer_duration_us_total") / requests / 1e6 if requests else None,
        pending=int(snapshot.total("nv_inference_pending_request_count", model=name) or 0),
        failures=int(snapshot.total("nv_inference_request_failure_total", model=name) or 0),
    )
