"""The machine that figures were measured on, and how much of it there was while they were."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC_STAT = Path("/proc/stat")
SPEED_S = 0.2
LOOPS = 20_000


def machine() -> str:
    """Architecture, cores and kernel, for reports."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


@dataclass(frozen=True)
class CpuTimes:
    """CPU time of all cores since the machine started, in ticks. `stolen`: the host gave it to other virtual machines."""

    busy: int
    stolen: int
    total: int

    @classmethod
    def read(cls, stat: Path = PROC_STAT) -> "CpuTimes | None":
        """The times now; None where the system does not tell."""
        try:
            name, *ticks = stat.read_text().partition("\n")[0].split()
        except OSError:
            return None
        if name != "cpu" or len(ticks) < 8:
            return None
        user, nice, system, idle, iowait, irq, softirq, stolen = map(
            int, ticks[:8]
        )  # what follows is contained in user and nice
        busy = user + nice + system + irq + softirq
        return cls(busy, stolen, busy + stolen + idle + iowait)


class MachineMeter:
    """What there was of the machine from the making of the meter on: make it before measuring, ask `report` after.

    On a virtual machine figures of two days differ by what the host took away and by how fast a core was; both are measured.
    """

    def __init__(self, stat: Path = PROC_STAT) -> None:
        self._stat = stat
        self._loops_per_s = python_loops_per_s()
        self._began = CpuTimes.read(stat)

    def steal_percent(self) -> float | None:
        """CPU time that the host gave to others, of all CPU time so far; None where the system does not tell."""
        return self._percent(lambda times: times.stolen)

    def busy_percent(self) -> float | None:
        """CPU time used by anything on this machine, of all CPU time so far; None where the system does not tell."""
        return self._percent(lambda times: times.busy)

    def report(self) -> dict[str, object]:
        """The fields of a report: machine, cpu_steal_percent, cpu_busy_percent, python_loops_per_s."""
        return {
            "machine": machine(),
            "cpu_steal_percent": self.steal_percent(),
            "cpu_busy_percent": self.busy_percent(),
            "python_loops_per_s": self._loops_per_s,
        }

    def _percent(self, part: Callable[[CpuTimes], int]) -> float | None:
        began, now = self._began, CpuTimes.read(self._stat)
        if began is None or now is None or now.total <= began.total:
            return None
        return round(100 * (part(now) - part(began)) / (now.total - began.total), 1)


def python_loops_per_s(seconds: float = SPEED_S) -> int:
    """How often a second one core turns a fixed loop of plain Python: the median of pieces measured for so long."""
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        started = time.perf_counter()
        _turn(LOOPS)
        rates.append(LOOPS / (time.perf_counter() - started))
    return round(statistics.median(rates))


def _turn(times: int) -> int:
    """Never change this: figures of different days are compared by it."""
    kept: dict[int, int] = {}
    value = 1
    for number in range(times):
        value = (value * 1_103_515_245 + number) & 0x7FFFFFFF
        kept[value & 255] = number
    return len(kept)
