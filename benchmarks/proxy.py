"""Counts the bytes between the roles and a server, by standing in between."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from embedded.programs import HOST

_AT_ONCE_BYTES: Final = 65_536


@dataclass(slots=True)
class Counts:
    """What went through, and where to connect."""

    port: int
    sent_bytes: int = 0
    received_bytes: int = 0


@contextmanager
def counting(port: int) -> Iterator[Counts]:
    """Carry connections to *port* until the end of the block, and count what they carry."""
    loop = asyncio.new_event_loop()
    counts = Counts(0)
    server = loop.run_until_complete(_listen(port, counts))
    counts.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(port: int, counts: Counts) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, port)
        try:
            await asyncio.gather(
                _carry(reader, back, counts, "sent_bytes"),
                _carry(there, writer, counts, "received_bytes"),
            )
        finally:
            back.close()
            writer.close()

    return await asyncio.start_server(serve, HOST, 0)


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: Counts, name: str
) -> None:
    with suppress(OSError):  # either end may be gone
        while some := await reader.read(_AT_ONCE_BYTES):
            setattr(counts, name, getattr(counts, name) + len(some))
            writer.write(some)
            await writer.drain()
    writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # in which the closed connections go
