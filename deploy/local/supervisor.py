"""The background process behind `portrait up`: it owns the stack until `portrait down`.

Run by `deploy.local.launch`. It tells the launcher its progress on stdout, a JSON object a line. Until the launcher answers
"stay" on stdin, the end of stdin means that the launcher is gone, and everything is stopped again.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from types import FrameType

from deploy.local.launch import Plan
from deploy.local.record import stack_folder, write_record
from deploy.local.stack import LocalStack, local_stack
from schemas.errors import PortraitError
from schemas.settings import load_settings

WATCH_INTERVAL_S = 0.5
FAILED = 2


def main(plan_json: str) -> int:
    """Own the stack until asked to end; returns the exit status."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=end_with_launcher, daemon=True).start()
    plan = Plan.model_validate_json(plan_json)
    settings = load_settings()
    try:
        with local_stack(
            stack_folder(settings),
            settings,
            kafka=plan.kafka,
            triton=plan.triton,
            models=plan.models,
            repository=plan.repository,
            ports=plan.ports,
            report=report,
        ) as stack:
            tell({"ready": True})
            watch(stack)
    except PortraitError as error:
        tell({"error": str(error)})
        return FAILED
    return 0


def end(signum: int, frame: FrameType | None) -> None:
    """Leave the stack's block, once; later signals find it being left already."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)


def end_with_launcher() -> None:
    """Wait for the launcher's word; without one it is gone, and we end."""
    if sys.stdin.readline().strip() != "stay":
        os.kill(os.getpid(), signal.SIGTERM)


def report(service: str, doing: str) -> None:
    """Pass progress on to the launcher."""
    tell({"service": service, "doing": doing})


def tell(message: dict[str, object]) -> None:
    """One line to the launcher, if it still listens."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)


def watch(stack: LocalStack) -> None:
    """Record the end of a server that ended by itself, for `portrait status` to show."""
    known = stack.record()
    while True:
        time.sleep(WATCH_INTERVAL_S)
        now = stack.record()
        if now != known:
            write_record(stack.folder, now)
            known = now


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
