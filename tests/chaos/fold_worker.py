"""One worker process of the chaos run: `python -m tests.chaos.fold_worker KILL_FILE`.

It dies, as by kill -9, where KILL_FILE says: the file holds the name of a point and is removed on the way out. The points are
before and after steps 4, 5, 7 and 8 of the commit order.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from consumers.runtime.transaction import Transaction
from consumers.runtime.worker import Worker
from schemas.settings import load_settings
from tests.benchmarks.tag_fold import TagFold, decode_event

STEPS = {"4": "offsets", "5": "changelog and outputs", "7": "commit", "8": "store"}
POINTS = tuple(f"{side} {step}" for step in STEPS for side in ("before", "after"))


class Executioner:
    """Ends this process at the point that the file names."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def around(self, step: str, call: Callable[[], Any]) -> Any:
        """Run one step of the commit order, unless it is to be the last thing done, or not to be done."""
        self._die_at(f"before {step}")
        result = call()
        self._die_at(f"after {step}")
        return result

    def _die_at(self, point: str) -> None:
        try:
            if self._file.read_text() != point:
                return
        except FileNotFoundError:
            return
        self._file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


class MortalProducer:
    """A producer whose steps 4 and 7 may be the last."""

    def __init__(self, producer: Any, executioner: Executioner) -> None:
        self._producer = producer
        self._executioner = executioner

    def send_offsets_to_transaction(self, *args: Any) -> None:
        self._executioner.around("4", lambda: self._producer.send_offsets_to_transaction(*args))

    def commit_transaction(self, *args: Any) -> None:
        self._executioner.around("7", lambda: self._producer.commit_transaction(*args))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def __len__(self) -> int:
        return len(self._producer)


class MortalWorker(Worker):
    """The real worker, with a point to die at around each step."""

    executioner: Executioner

    def _new_transaction(self) -> Transaction:
        transaction = super()._new_transaction()
        transaction._producer = MortalProducer(transaction._producer, self.executioner)  # type: ignore[assignment]
        return transaction

    def _produce(self, *args: Any) -> Any:
        return self.executioner.around("5", lambda: super(MortalWorker, self)._produce(*args))

    def _store(self, *args: Any) -> None:
        self.executioner.around("8", lambda: super(MortalWorker, self)._store(*args))


def main(kill_file: Path) -> None:
    """Work until SIGTERM, or until the file says otherwise."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    worker = MortalWorker(TagFold(), load_settings(), decode_event)
    worker.executioner = Executioner(kill_file)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
