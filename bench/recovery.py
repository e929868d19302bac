"""Throughput of the production setup after Redis lost everything, beside that before: Redis only wakes workers, and Postgres knows
what waits.

A client keeps more tasks waiting than the worker has slots. What is processed in a window before the fault is compared with what is
processed in a window of the same length that begins ten seconds after it.
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

SUMMARY = "throughput after Redis lost everything, beside that before"
WINDOW_S = 20
AFTER_S = 10  # what the service has to be itself again
WAITING = 20  # tasks, all of the time
# The second one is what clients see of a restart without the file: no data, no connection.
FAULTS = (["FLUSHALL"], ["FLUSHALL", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE normal SKIPME yes"])
RECIPE = '{"outputs": [{"kind": "poster"}]}'  # the shortest work there is


def run() -> Iterator[Row]:
    before, after = [], []
    with production() as service:
        stop = threading.Event()
        feeder = threading.Thread(target=feed, args=(service, stop))
        feeder.start()
        try:
            time.sleep(AFTER_S)
            for commands in FAULTS * 2:
                before.append(processed_in(service, WINDOW_S) / WINDOW_S)
                for command in commands:
                    tell(service.redis_url, command)
                time.sleep(AFTER_S)
                after.append(processed_in(service, WINDOW_S) / WINDOW_S)
        finally:
            stop.set()
            feeder.join()
    each = ", ".join(f"{old:.2f} and {new:.2f}" for old, new in zip(before, after, strict=True))
    detail = f"tasks a second in {WINDOW_S} s before and {AFTER_S} s after FLUSHALL, an empty restart, and both again: {each}"
    yield in_turns("recovery", after, before, "/s", at_least=0.95, detail=detail)


def feed(service: Service, stop: threading.Event) -> None:
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
    """How many tasks are processed, by the metrics of the backend."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    line = next(line for line in text.splitlines() if line.startswith('rushes_tasks{status="processed"}'))
    return int(float(line.split()[1]))


def tell(url: str, command: str) -> None:
    """Sends inline commands to Redis (RESP, inline)."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as stream:
        stream.sendall(f"AUTH {parts.password}\r\n{command}\r\nQUIT\r\n".encode())
        replies = b"".join(iter(lambda: stream.recv(4096), b""))
    if replies.count(b"-ERR") or not replies.startswith(b"+OK"):
        raise RuntimeError(f"Redis answered {command!r} with {replies!r}")
