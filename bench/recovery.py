"""Throughput of the production setup after Redis has lost its data, against the throughput before. Redis only wakes workers;
the waiting tasks are in Postgres.

A client keeps more tasks waiting than the worker has slots. The number of tasks processed in a window before the fault is
compared with the number in a window of the same length that begins ten seconds after it.
"""

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import clip
from caller import Caller
from measure import Row, in_turns
from service import Service, production

SUMMARY = "throughput after Redis has lost its data, against that before"
WINDOW_S = 20
AFTER_S = 10  # time for the service to recover
WAITING = 20  # tasks that wait at any time
# The second fault is a restart of Redis without its file, as clients see it: no data, and all connections closed.
FAULTS = (["FLUSHALL"], ["FLUSHALL", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal SKIPME yes"])
RECIPE = '{"outputs": [{"kind": "poster"}]}'  # the shortest task


def run() -> Iterator[Row]:
    before, after = [], []
    with production() as service:
        stop = threading.Event()
        uploader = threading.Thread(target=keep_tasks_waiting, args=(service, stop))
        uploader.start()
        try:
            time.sleep(AFTER_S)
            for commands in FAULTS * 2:
                before.append(processed_in(service, WINDOW_S) / WINDOW_S)
                for command in commands:
                    send_command(service.redis_url, command)
                time.sleep(AFTER_S)
                after.append(processed_in(service, WINDOW_S) / WINDOW_S)
        finally:
            stop.set()
            uploader.join()
    each = ", ".join(f"{old:.2f} and {new:.2f}" for old, new in zip(before, after, strict=True))
    detail = f"tasks a second in {WINDOW_S} s before and {AFTER_S} s after FLUSHALL, an empty restart, and both again: {each}"
    yield in_turns("recovery", after, before, "/s", at_least=0.95, detail=detail)


def keep_tasks_waiting(service: Service, stop: threading.Event) -> None:
    caller, source = Caller(service), clip.moving(160, 90, 1)
    while not stop.is_set():
        for _ in range(WAITING - len(caller.ask("GET", "/api/tasks?status=uploaded")["data"])):
            caller.upload(source, recipe=RECIPE)
        time.sleep(0.1)


def processed_in(service: Service, seconds: int) -> int:
    before = processed(service)
    time.sleep(seconds)
    return processed(service) - before


def processed(service: Service) -> int:
    """The number of processed tasks, from the metrics of the backend."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    line = next(line for line in text.splitlines() if line.startswith('rushes_tasks{status="processed"}'))
    return int(float(line.split()[1]))


def send_command(url: str, command: str) -> None:
    """Sends an inline command (RESP) to Redis."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as stream:
        stream.sendall(f"AUTH {parts.password}\r\n{command}\r\nQUIT\r\n".encode())
        replies = b"".join(iter(lambda: stream.recv(4096), b""))
    if replies.count(b"-ERR") or not replies.startswith(b"+OK"):
        raise RuntimeError(f"Redis answered {command!r} with {replies!r}")
