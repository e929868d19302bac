"""p99 of good requests while many other clients are slow on purpose.

A third of the slow clients sends the head of a request byte by byte (Slowloris), a third the body of an upload, and a third
reads the reply of a download byte by byte. A connection that the service closes is opened again at once. The good requests
are 16 clients that poll a task, about 50 requests per second each.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit

import clip
from caller import BOUNDARY, Caller, form
from login import p99_of_polls
from measure import Row, alone, listed
from service import Service, embedded

SUMMARY = "p99 of polls while 600 other clients send or read one byte per second"
RUNS = 3
SECONDS = 10
CLIENTS = 600
AHEAD_S = 5
PAUSE_S = 1.0


def run() -> Iterator[Row]:
    with embedded() as service:
        caller = Caller(service)
        source = clip.moving(1280, 720, 12)
        task = caller.processed(caller.upload(source, recipe='{"outputs": [{"kind": "mp4"}]}'), every_ms=50)
        poll = [f"{service.url}/api/tasks/{task['task_id']}", f"Authorization: {caller.headers['Authorization']}"]
        quiet = p99_of_polls(*poll, seconds=SECONDS)
        with slow_clients(service, requests(caller, task)) as opened:
            p99s = [p99_of_polls(*poll, seconds=SECONDS) for _ in range(RUNS)]
            if min(opened) == 0:
                raise RuntimeError(f"no slow client of a kind was connected: {opened}")
    heads, bodies, readers = opened
    connections = f"connections: {heads} heads, {bodies} bodies, {readers} readers"
    detail = f"medians of {RUNS}: {listed(p99s, 'ms')}; quiet {quiet:.1f} ms; {connections}"
    yield alone("slow", median(p99s), "ms", at_most=200, detail=detail)


def requests(caller: Caller, task: dict) -> list[tuple[bytes, bytes]]:
    """Of each kind: what is sent at once, and what is sent byte by byte."""
    link = urlsplit(task["download"][0])
    before, _ = form("clip.mp4")
    upload = (
        f"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nAuthorization: {caller.headers['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: 10000000\r\n\r\n"
    )
    return [
        (b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a" * 1_000_000),
        (upload.encode() + before, b"\0" * 1_000_000),
        (f"GET {link.path}?{link.query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), b""),
    ]


@contextmanager
def slow_clients(service: Service, kinds: list[tuple[bytes, bytes]]) -> Iterator[list[int]]:
    """Slow clients of all kinds in another thread. Yields the number of connections of each kind that were opened."""
    loop, opened = asyncio.new_event_loop(), [0] * len(kinds)

    async def client(kind: int) -> None:
        first, rest = kinds[kind]
        while True:
            try:
                await slow_request(service.port, first, rest, lambda: opened.__setitem__(kind, opened[kind] + 1))
            except OSError:
                await asyncio.sleep(PAUSE_S)

    async def all_clients() -> None:
        await asyncio.gather(*(client(number % len(kinds)) for number in range(CLIENTS)))

    running = asyncio.run_coroutine_threadsafe
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    clients = running(all_clients(), loop)
    try:
        running(asyncio.sleep(AHEAD_S), loop).result()
        yield opened
    finally:
        clients.cancel()
        running(asyncio.sleep(PAUSE_S), loop).result()  # until they have closed their connections
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def slow_request(port: int, first: bytes, rest: bytes, has_begun) -> None:
    """Sends a request, or reads its reply, byte by byte until the service closes the connection."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        # So that the kernel does not read for the client.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        await loop.sock_sendall(connection, first)
        has_begun()
        for byte in rest:
            await loop.sock_sendall(connection, bytes([byte]))
            await asyncio.sleep(PAUSE_S)
        while await loop.sock_recv(connection, 1):
            await asyncio.sleep(PAUSE_S)
