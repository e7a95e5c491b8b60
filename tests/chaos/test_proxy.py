"""The network of the chaos run does what its faults are named after."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from deploy.local.ports import free_port
from tests.chaos.proxy import Proxy

SOON_S = 5.0
HELD_S = 0.3


class Echo:
    """A server that answers with what it is sent; `received` is all of it."""

    def __init__(self) -> None:
        self.received = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += data
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    proxy = Proxy(free_port(), echo.port)
    yield proxy
    proxy.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=SOON_S)


def test_bytes_pass_both_ways_whatever_their_number(proxy: Proxy) -> None:
    with connect(proxy) as client:
        data = bytes(range(256)) * 4096
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        answer = b""
        while len(answer) < len(data):
            answer += client.recv(65536)
        assert answer == data


def test_a_cut_breaks_what_is_open_and_refuses_until_it_is_mended(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        proxy.cut()
        assert client.recv(100) == b"", "it has ended"
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.mend()
    with connect(proxy) as client:
        client.sendall(b"after")
        assert client.recv(100) == b"after"


def test_held_requests_arrive_after_the_release(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as client:
        proxy.hold(requests=True, answers=False)
        client.sendall(b"held")
        time.sleep(HELD_S)
        assert echo.received == b""
        proxy.release()
        assert client.recv(100) == b"held"


def test_answers_can_be_lost_while_requests_arrive(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as client:
        proxy.hold(requests=False, answers=True)
        client.sendall(b"done, but nobody is told")
        deadline = time.monotonic() + SOON_S
        while not echo.received and time.monotonic() < deadline:
            time.sleep(0.01)
        assert echo.received == b"done, but nobody is told"
        proxy.cut()
        assert client.recv(100) == b"", "it has ended"
