"""Streams of events: their memory, and the lag from a change to the message.

2,000 streams of 100 accounts are open at one backend with Postgres and Redis, while videos of these accounts are renamed. The lag
of a message is the time from the request for a change until the message is read; all streams of the account get it.
"""

import json
import random
import selectors
import socket
import threading
import time
from statistics import median

import clip
from caller import Caller
from measure import Row, alone, percentile
from process import memory_bytes
from service import Service, production

SUMMARY = "2,000 open streams of events: memory of each, lag of a message"
ACCOUNTS = 100
PER_ACCOUNT = 20
CHANGES = 300
PAUSE_S = 0.05
MEMORY_KIB = 32
LAG_MS = 1000


def run() -> list[Row]:
    with production() as service:
        callers = [Caller(service) for _ in range(ACCOUNTS)]
        tasks = [caller.upload(clip.moving(160, 90, 1), recipe='{"outputs": [{"kind": "mp4"}]}') for caller in callers]
        for caller, task in zip(callers, tasks, strict=True):
            caller.processed(task, every_ms=100)
        before = memory_bytes(service.pid)
        streams = [Stream(service, caller) for caller in callers for _ in range(PER_ACCOUNT)]
        reader = Reader(streams)
        reader.start()
        time.sleep(2)
        per_stream = (memory_bytes(service.pid) - before) / len(streams)
        lags = changes(service, callers, tasks, reader)
        after = (memory_bytes(service.pid) - before) / len(streams)
        reader.stop()
    count = len(streams)
    memory = f"{count:,} streams of {ACCOUNTS} accounts; {after / 1024:.1f} KiB after {CHANGES} changes"
    lag = f"p99 of {len(lags):,} messages; median {median(lags):.0f} ms, longest {max(lags):.0f} ms"
    return [
        alone("events.memory", max(per_stream, after) / 1024, "KiB", at_most=MEMORY_KIB, detail=memory),
        alone("events.lag", percentile(lags, 99), "ms", at_most=LAG_MS, detail=lag),
    ]


def changes(service: Service, callers: list[Caller], tasks: list[int], reader: "Reader") -> list[float]:
    """Changes videos of random accounts; returns the lag of each message in ms."""
    made, choose = {}, random.Random(1)
    for number in range(CHANGES):
        account = choose.randrange(ACCOUNTS)
        caller, title = callers[account], f"change {number}"
        caller.connection.close()  # it may have been idle for longer than the server keeps it
        video = caller.task(tasks[account])["video_id"]
        begun = time.perf_counter()
        caller.ask("PATCH", f"/api/videos/{video}", json.dumps({"title": title}).encode())
        made[title] = begun
        time.sleep(PAUSE_S)
    deadline = time.monotonic() + 30
    while len(reader.seen) < CHANGES * PER_ACCOUNT and time.monotonic() < deadline:
        time.sleep(0.1)
    if len(reader.seen) != CHANGES * PER_ACCOUNT:
        raise RuntimeError(f"{len(reader.seen)} messages instead of {CHANGES * PER_ACCOUNT}")
    return [(at - made[title]) * 1000 for title, at in reader.seen]


class Stream:
    """The connection of a stream, open when its first message has arrived."""

    def __init__(self, service: Service, caller: Caller):
        self.socket = socket.create_connection(("127.0.0.1", service.port))
        head = f"GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: {caller.headers['Authorization']}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.text = b""
        while b"id: " not in self.text:
            chunk = self.socket.recv(4096)
            if not chunk or b"HTTP/1.1 200" not in self.text + chunk:
                raise RuntimeError(f"a stream was refused: {(self.text + chunk).decode(errors='replace')}")
            self.text += chunk
        self.text = b""


class Reader(threading.Thread):
    """Reads all streams, and notes the title of each changed video with the time of its message."""

    def __init__(self, streams: list[Stream]):
        super().__init__(daemon=True)
        self.seen: list[tuple[str, float]] = []
        self.running = True
        self.selector = selectors.DefaultSelector()
        for stream in streams:
            self.selector.register(stream.socket, selectors.EVENT_READ, stream)

    def run(self) -> None:
        while self.running:
            for key, _ in self.selector.select(timeout=0.2):
                self.read(key.data)

    def read(self, stream: Stream) -> None:
        chunk, now = stream.socket.recv(65536), time.perf_counter()
        if not chunk:
            raise RuntimeError("a stream has ended")
        lines = (stream.text + chunk).split(b"\n")
        stream.text = lines.pop()
        for line in lines:
            if line.startswith(b"data: ") and b'"video.updated"' in line:
                self.seen.append((json.loads(line[6:])["data"]["title"], now))

    def stop(self) -> None:
        self.running = False
        self.join()
