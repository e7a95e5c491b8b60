"""Seeds of one model fitted side by side, each in a process of its own: most of a fit keeps one core busy and no second."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

from deploy.recs.contender import Contender, Params
from deploy.recs.measures import Gains, gains
from deploy.recs.split import Split

PARENT_LOOKED_AT_S = 0.5
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def gains_of_seeds(
    contender: Contender, split: Split, params: Params, seeds: Sequence[int], jobs: int, on_done: Callable[[int, int], None]
) -> list[Gains]:
    """What the model gains with each seed, up to `jobs` at a time; they share the cores.

    Raises:
        PortraitError: one of them failed; those not yet begun are left.
    """
    context = multiprocessing.get_context("spawn")  # a forked process would share the locks of threads it does not have
    share = max(1, (os.cpu_count() or 1) // jobs)
    others = set(multiprocessing.active_children())
    with threads_of_children(share), ProcessPoolExecutor(min(jobs, len(seeds)), context, initializer=lead_a_group) as pool:
        futures = [pool.submit(gains_of_seed, contender, split, params, seed) for seed in seeds]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                on_done(done, len(seeds))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                end(process)
            raise
        return [future.result() for future in futures]


def gains_of_seed(contender: Contender, split: Split, params: Params, seed: int) -> Gains:
    """Fit and measure, in a process that nobody watches."""
    return gains(contender.fitted(split, params, seed, lambda done, total: None), split)


def lead_a_group() -> None:
    """A group of its own for this process and what it starts; all end when the process that wants their work is gone."""
    os.setpgrp()
    threading.Thread(target=_end_without, args=(os.getppid(),), daemon=True).start()


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_LOOKED_AT_S)
    os.killpg(0, signal.SIGKILL)


def end(process: BaseProcess) -> None:
    """End it with what it started itself, a peer's own process: it leads a group of its own once it is up."""
    assert process.pid, "a process that is active has a pid"  # and 0 would be our own group
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        process.terminate()
    process.join()


@contextmanager
def threads_of_children(count: int) -> Iterator[None]:
    """Processes started meanwhile compute with so many threads, or with as many as someone asked for before."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update({name: str(count) for name, value in before.items() if value is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
