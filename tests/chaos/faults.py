"""What goes wrong in a chaos run: a seeded choice of faults, done to real processes."""

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.local.child import Child
from deploy.local.kafka import KafkaServer
from schemas.errors import ConfigError
from schemas.settings import Settings
from tests.chaos.fold_worker import POINTS
from tests.chaos.proxy import Proxy

PAUSE_S = 8.0
"""Longer than the group's session timeout of 6 s: the group gives the partitions of a stopped worker to others."""
CUT_S = (7.0, 11.0)
"""As long as that, so that the others take over and the one cut off comes back as a stranger."""
STALL_S = (1.0, 12.0)
"""From less than any timeout to more than a transaction's of 10 s: then what was held back arrives too late to count."""
SLEEP_S = (5.0, 16.0)
"""From less than the group's session timeout to more than a transaction's."""
ANSWERS_LOST_S = (0.2, 2.0)
DEATH_WAIT_S = 5.0
"""How long a worker that is to die at a point is given to get there; it may have nothing to do."""


class FoldWorkers:
    """Worker processes by replica name, each with its own kill file and its own store.

    `proxies` stand between a replica and the broker.
    """

    def __init__(self, settings: Settings, folder: Path, count: int, proxies: Mapping[str, Proxy] | None = None) -> None:
        self._settings = settings
        self._proxies = proxies or {}
        self.folder = folder
        self.replicas = [str(number) for number in range(count)]
        self._children: dict[str, Child] = {}

    def start(self, replica: str) -> None:
        """Start, or start again, one worker."""
        assert self._settings.kafka.bootstrap_servers
        proxy = self._proxies.get(replica)
        environment = {
            **os.environ,
            "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{proxy.port}"
            if proxy
            else self._settings.kafka.bootstrap_servers,
            "PORTRAIT_RUNTIME__FOLDER": str(self.folder),
            "PORTRAIT_RUNTIME__REPLICA": replica,
            "PORTRAIT_RUNTIME__MAX_BATCH": str(self._settings.runtime.max_batch),
        }
        command = [sys.executable, "-m", "tests.chaos.fold_worker", str(self.kill_file(replica))]
        self._children[replica] = Child(command, environment, self.folder / "logs" / f"{replica}.log")

    def start_all(self) -> None:
        """Start all of them."""
        for replica in self.replicas:
            self.start(replica)

    def ensure_alive(self) -> int:
        """Start those again that ended by themselves, as a supervisor would; gives their number."""
        ended = [replica for replica in self.replicas if self._children[replica].returncode is not None]
        for replica in ended:
            self.start(replica)
        return len(ended)

    def kill_file(self, replica: str) -> Path:
        """Where a worker reads at which point it is to die."""
        return self.folder / f"kill-{replica}"

    def child(self, replica: str) -> Child:
        """The process of a replica."""
        return self._children[replica]

    def store(self, replica: str) -> Path:
        """The folder of a replica's stores."""
        return self.folder / "state" / f"tag-fold-{replica}"

    def stop(self) -> None:
        """End all of them in good order."""
        for child in self._children.values():
            child.stop()


class Faults:
    """Does one seeded fault at a time, of those whose name holds `only`. `done` counts them by kind."""

    def __init__(
        self, workers: FoldWorkers, kafka: KafkaServer, proxies: Mapping[str, Proxy], seed: int, only: str = ""
    ) -> None:
        self._workers = workers
        self._kafka = kafka
        self._proxies = proxies
        self._chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        kinds: dict[str, tuple[float, Callable[[str], None]]] = {
            **{point: (3.0, self._die_at(point)) for point in POINTS},
            "kill": (8.0, self._kill),
            "kill, and the store is lost": (3.0, self._kill_and_wipe),
            "stop and continue": (2.0, self._pause),
            "leave and come back": (3.0, self._leave),
            "broker stopped": (1.0, self._restart_broker),
            "broker killed": (1.0, self._kill_broker),
            "broker stops and continues": (1.0, self._pause_broker),
            "all stop and continue": (1.0, self._pause_all),
            "network cut": (2.0, self._cut),
            "network stall": (2.0, self._stall),
            "network loses answers": (4.0, self._lose_answers),
        }
        self._kinds = {kind: how for kind, how in kinds.items() if only in kind}
        if not self._kinds:
            raise ConfigError(f"no fault is called {only!r}; there are {', '.join(kinds)}")

    def next(self) -> str:
        """Do a fault drawn by its weight, to a worker drawn evenly; gives its kind."""
        kinds = list(self._kinds)
        kind = self._chance.choices(kinds, [self._kinds[kind][0] for kind in kinds])[0]
        self._kinds[kind][1](self._chance.choice(self._workers.replicas))
        return kind

    def _die_at(self, point: str) -> Callable[[str], None]:
        def die(replica: str) -> None:
            file = self._workers.kill_file(replica)
            file.write_text(point)
            died = self._workers.child(replica).wait(DEATH_WAIT_S) is not None
            file.unlink(missing_ok=True)
            if died:
                self.done[point] += 1
                self._workers.start(replica)

        return die

    def _kill(self, replica: str) -> None:
        self._workers.child(replica).kill()
        self.done["kill"] += 1
        self._workers.start(replica)

    def _kill_and_wipe(self, replica: str) -> None:
        self._workers.child(replica).kill()
        shutil.rmtree(self._workers.store(replica), ignore_errors=True)
        self.done["kill, and the store is lost"] += 1
        self._workers.start(replica)

    def _pause(self, replica: str) -> None:
        pause([self._workers.child(replica).pid], PAUSE_S)
        self.done["stop and continue"] += 1

    def _pause_broker(self, replica: str) -> None:
        pause([self._broker_pid()], self._chance.uniform(*SLEEP_S))
        self.done["broker stops and continues"] += 1

    def _pause_all(self, replica: str) -> None:
        """As when the machine sleeps: every timeout has passed when it wakes, for all at once."""
        workers = [self._workers.child(replica).pid for replica in self._workers.replicas]
        pause([self._broker_pid(), *workers], self._chance.uniform(*SLEEP_S))
        self.done["all stop and continue"] += 1

    def _broker_pid(self) -> int:
        pid = self._kafka.record().pid
        assert pid is not None
        return pid

    def _leave(self, replica: str) -> None:
        self._workers.child(replica).stop()
        time.sleep(self._chance.uniform(0.0, 4.0))
        self._workers.start(replica)
        self.done["leave and come back"] += 1

    def _cut(self, replica: str) -> None:
        self._proxies[replica].cut()
        time.sleep(self._chance.uniform(*CUT_S))
        self._proxies[replica].mend()
        self.done["network cut"] += 1

    def _stall(self, replica: str) -> None:
        requests, answers = self._chance.choice(((True, True), (True, False), (False, True)))
        self._proxies[replica].hold(requests=requests, answers=answers)
        time.sleep(self._chance.uniform(*STALL_S))
        self._proxies[replica].release()
        self.done["network stall"] += 1

    def _lose_answers(self, replica: str) -> None:
        """The broker does what it is asked, and the worker is never told: its commits end with an outcome unknown."""
        self._proxies[replica].hold(requests=False, answers=True)
        time.sleep(self._chance.uniform(*ANSWERS_LOST_S))
        self._proxies[replica].cut()
        self._proxies[replica].release()
        self._proxies[replica].mend()
        self.done["network loses answers"] += 1

    def _restart_broker(self, replica: str) -> None:
        self._kafka.stop()
        self._back_again("broker stopped")

    def _kill_broker(self, replica: str) -> None:
        self._kafka.kill()
        self._back_again("broker killed")

    def _back_again(self, kind: str) -> None:
        time.sleep(self._chance.uniform(0.0, 4.0))
        self._kafka.start()
        self.done[kind] += 1


def pause(pids: Sequence[int], seconds: float) -> None:
    """Stop processes, and let them go on after a while; those that ended meanwhile are left out."""
    for sent, wait_s in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
        time.sleep(wait_s)
