"""Webhooks: messages per second from a worker to a receiver on the same machine.

A backend and a worker with Postgres and Redis. The worker is away while one account asks for test messages, so that all of them are
due when it starts. The rate counts from the first message to the last one. The receiver is a process of its own and only counts.
"""

import multiprocessing
import selectors
import socket
import time
from contextlib import ExitStack

import stores
from caller import Caller
from measure import Row, alone
from scratch import directory
from service import part

SUMMARY = "webhooks: messages per second to a local receiver"
MESSAGES = 6000
WEBHOOKS = 4
GOAL = 500
REPLY = b"HTTP/1.1 204 No Content\r\n\r\n"


def run() -> list[Row]:
    with ExitStack() as stack:
        home = stack.enter_context(directory())
        settings = {
            "DATABASE_URL": stack.enter_context(stores.postgres()),
            "REDIS_URL": stack.enter_context(stores.redis(home)),
            "STORAGE_URL": f"file://{home}/objects",
            "RUSHES_OUTBOUND_ALLOW": "127.0.0.1",
            "RUSHES_SEALING_KEY": "fedcba9876543210fedcba9876543210",
        }
        backend = stack.enter_context(part("backend", home, settings))
        receiver = Receiver()
        stack.callback(receiver.stop)
        caller = Caller(backend)
        for number in range(WEBHOOKS):
            url = f"http://127.0.0.1:{receiver.port}/{number}"
            caller.post("/api/webhooks", url=url)
        ids = [one["id"] for one in caller.ask("GET", "/api/webhooks")["data"]]
        for number in range(MESSAGES):
            ask(caller, f"/api/webhooks/{ids[number % WEBHOOKS]}/test")
        stack.enter_context(part("worker", home, settings))
        took = receiver.wait(MESSAGES)
    rate = (MESSAGES - 1) / took
    detail = f"{MESSAGES:,} messages to {WEBHOOKS} webhooks in {took:.2f} s, one worker, Postgres"
    return [alone("webhooks", rate, "/s", at_least=GOAL, detail=detail)]


def ask(caller: Caller, path: str) -> None:
    caller.connection.request("POST", path, headers=caller.headers)
    reply = caller.connection.getresponse()
    text = reply.read()
    if reply.status != 202:
        raise RuntimeError(f"{path} was answered with {reply.status}: {text!r}")


class Receiver:
    """A server that answers each request with 204, and tells the times of the first and the last one."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.times = multiprocessing.Array("d", 2)
        self.count = multiprocessing.Value("q", 0)
        self.process = multiprocessing.Process(target=self.serve, daemon=True)
        self.process.start()

    def serve(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self.socket, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.socket:
                    connection, _ = self.socket.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ, bytearray())
                elif not self.read(key.fileobj, key.data):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()

    def read(self, connection: socket.socket, text: bytearray) -> bool:
        try:
            chunk = connection.recv(65536)
        except ConnectionError:
            return False
        text += chunk
        while (length := whole(text)) is not None:
            del text[:length]
            now = time.monotonic()
            if self.count.value == 0:
                self.times[0] = now
            self.times[1] = now
            self.count.value += 1
            connection.sendall(REPLY)
        return bool(chunk)

    def wait(self, count: int) -> float:
        """Waits for the last message, and returns the time since the first one."""
        deadline = time.monotonic() + 120
        while self.count.value < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.count.value} messages instead of {count}")
            time.sleep(0.05)
        if self.count.value != count:
            raise RuntimeError(f"{self.count.value} messages instead of {count}")
        return self.times[1] - self.times[0]

    def stop(self) -> None:
        self.process.terminate()
        self.process.join()


def whole(text: bytearray) -> int | None:
    """The length of the first request in a text, if it is complete."""
    end = text.find(b"\r\n\r\n")
    if end < 0:
        return None
    for line in bytes(text[:end]).lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = end + 4 + int(line[15:])
            return length if len(text) >= length else None
    return end + 4
