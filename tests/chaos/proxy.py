"""A network that can fail: a TCP relay on loopback, in a thread of its own, whose traffic can be cut or held back."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

CHUNK_BYTES = 256 * 1024
CALL_TIMEOUT_S = 10.0


class Proxy:
    """Relays 127.0.0.1:`port` to 127.0.0.1:`target_port` from its making on. Everything may be called from any thread.

    Held bytes are kept in their order and go on with `release`; those of a connection that is cut meanwhile are lost.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._requests_flow = asyncio.Event()
        self._answers_flow = asyncio.Event()
        self.release()
        self.mend()

    def cut(self) -> None:
        """Break every connection, and refuse new ones until `mend`."""
        self._do(self._close_server())

    def mend(self) -> None:
        """Accept connections again."""
        self._do(self._open_server())

    def hold(self, *, requests: bool, answers: bool) -> None:
        """Keep back what clients send, or what the server answers, until `release`; nobody is told."""
        self._do(self._flow(not requests, not answers))

    def release(self) -> None:
        """Let everything that was kept back go on."""
        self._do(self._flow(True, True))

    def close(self) -> None:
        """Break every connection and end."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result(CALL_TIMEOUT_S)

    async def _open_server(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()
        while self._open:  # each relay takes its own out, and what it held is gone by then
            await asyncio.sleep(0.01)

    async def _flow(self, requests: bool, answers: bool) -> None:
        for gate, open_ in ((self._requests_flow, requests), (self._answers_flow, answers)):
            (gate.set if open_ else gate.clear)()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # the broker is away: the client is to see that as it would without us
            writer.transport.abort()
            return
        if self._server is None:  # cut while connecting
            writer.transport.abort()
            far_writer.transport.abort()
            return
        both = {writer, far_writer}
        self._open |= both
        directions = [
            asyncio.create_task(pump(reader, far_writer, self._requests_flow)),
            asyncio.create_task(pump(far_reader, writer, self._answers_flow)),
            asyncio.create_task(writer.wait_closed()),
            asyncio.create_task(far_writer.wait_closed()),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for end in both:
                end.transport.abort()
            self._open -= both


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    """Pass bytes on while the gate is open, until one side closes."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            await gate.wait()
            writer.write(data)
            await writer.drain()
