"""Runs one command as a child and makes sure that nothing of it outlives its owner.

Run as a script, with nothing but the standard library: guard.py OWNER_PID GRACE_S LOG SHM_PREFIX COMMAND…
It prints the command's pid, then waits. It ends the command when it is asked to (SIGTERM) or when its owner is gone, however
that died, and leaves only once every descendant is gone: as their subreaper it inherits what the command leaves behind
(Triton's Python stubs). Should the guard itself be killed, the kernel kills the command.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.2
OWNER_LOST_GRACE_S = 3.0
SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main(owner_pid: int, grace_s: float, log: str, shm_prefix: str, command: list[str]) -> int:
    """Run the command to its end; returns its exit status as a shell would."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    with open(log, "ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=in_child, pass_fds=()
        )
    print(child.pid, flush=True)
    try:
        return supervise(child, owner_pid, grace_s)
    finally:
        kill_descendants()
        remove_shared_memory(shm_prefix)


def supervise(child: subprocess.Popen[bytes], owner_pid: int, grace_s: float) -> int:
    """Wait for the child; ask it to end when told to or when the owner is gone, and kill it when it takes too long."""
    deadline = None
    while child.poll() is None:
        received = signal.sigtimedwait(SIGNALS, POLL_S)
        asked = received is not None and received.si_signo != signal.SIGCHLD
        owner_lost = os.getppid() != owner_pid
        if deadline is None and (asked or owner_lost):
            child.terminate()
            deadline = time.monotonic() + (min(grace_s, OWNER_LOST_GRACE_S) if owner_lost else grace_s)
        if deadline is not None and time.monotonic() > deadline:
            child.kill()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def kill_descendants() -> None:
    """Kill and reap children until there is none; their own children become ours as they die."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            for orphan in child_pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            time.sleep(0.01)


def child_pids() -> list[int]:
    """Pids of this process's children, from /proc."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # the command name, in parentheses, may hold anything; the fields after it are state and parent
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]) == os.getpid():
                pids.append(int(stat.parent.name))
    return pids


def remove_shared_memory(prefix: str) -> None:
    """Remove the shared memory that a killed Triton could not."""
    if prefix:
        for region in Path("/dev/shm").glob(f"{prefix}*"):
            region.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:]))
