"""What a report says of the machine."""

import json
from pathlib import Path

from deploy.machine import CpuTimes, MachineMeter, machine, python_loops_per_s


def stat(path: Path, *ticks: int) -> Path:
    path.write_text("cpu  " + " ".join(map(str, ticks)) + "\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    return path


def test_stolen_and_used_time_are_counted_from_the_meters_making_on(tmp_path: Path) -> None:
    path = stat(tmp_path / "stat", 1000, 0, 0, 1000, 0, 0, 0, 500, 0, 0)
    meter = MachineMeter(path)
    stat(path, 1030, 10, 10, 1020, 5, 2, 3, 520, 999, 999)  # 100 ticks more; guests' time is part of user time already
    assert meter.steal_percent() == 20.0
    assert meter.busy_percent() == 55.0


def test_nothing_is_said_where_the_system_does_not_tell(tmp_path: Path) -> None:
    meter = MachineMeter(tmp_path / "absent")
    assert meter.steal_percent() is None and meter.busy_percent() is None
    short = tmp_path / "short"
    short.write_text("cpu  1 2 3 4\n")
    assert CpuTimes.read(short) is None


def test_no_time_between_two_readings_is_no_percentage(tmp_path: Path) -> None:
    meter = MachineMeter(stat(tmp_path / "stat", 1, 1, 1, 1, 1, 1, 1, 1, 0, 0))
    assert meter.steal_percent() is None


def test_speed_is_a_rate_that_a_slower_core_would_lower() -> None:
    loops_per_s = python_loops_per_s(0.02)
    assert 100_000 < loops_per_s < 1_000_000_000


def test_a_report_has_the_four_fields_and_is_json(tmp_path: Path) -> None:
    report = json.loads(json.dumps(MachineMeter(tmp_path / "absent").report()))
    assert report.pop("python_loops_per_s") > 0
    assert report == {"machine": machine(), "cpu_steal_percent": None, "cpu_busy_percent": None}
