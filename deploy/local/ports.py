"""Ports for the local stack: free ones by default, and a clear word when one that was asked for is taken."""

import random
import socket
from pathlib import Path

from schemas.errors import ConfigError

LOWEST_PORT = 15_000
TRIES = 200


def free_port() -> int:
    """A port nobody listens on.

    It lies below the kernel's range for outgoing connections: a client that keeps calling a stopped server on a port within
    that range can end up connected to itself, and then the server cannot have its port back.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(TRIES):
        port = random.randrange(LOWEST_PORT, max(first_outgoing, LOWEST_PORT + 1000))
        if is_free(port):
            return port
    raise ConfigError(f"found no free port in {TRIES} tries from {LOWEST_PORT} on")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection's rest is no matter
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def chosen_port(asked: int | None, flag: str) -> int:
    """The port that was asked for by a flag, or a free one.

    Raises:
        ConfigError: the port asked for is taken; the message names its holder where that can be known.
    """
    if asked is None:
        return free_port()
    if not is_free(asked):
        holder = port_holder(asked)
        by = f" by {holder}" if holder else ""
        raise ConfigError(f"port {asked} ({flag}) is taken{by}; choose another, or leave {flag} out to get a free one")
    return asked


def port_holder(port: int) -> str | None:
    """Command and pid of the process that listens on a port, where /proc lets us see it."""
    inodes = listening_inodes(port)
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink().name in inodes:
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it ended meanwhile, or belongs to someone else
    return None


def listening_inodes(port: int) -> set[str]:
    """The sockets listening on a port, as /proc/PID/fd names them."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
