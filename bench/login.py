"""Logins beside other work, in both directions.

`login` is how much a flood of logins slows the others: p99 of `GET /api/tasks/{id}` in the flood against p99 of a quiet run. The others are 16 clients that ask some 50 times a second each. The flood is 24 connections with wrong passwords, as fast as
answers come, from ever new addresses and for ever new users, so that every one of them costs a password check.

`login.transcode` is how much a transcode on every core slows a login with the right password: p99 of single logins, one after the
other, against p99 of an idle service, while somebody else sends a wrong password for the same account each second.
"""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import clip
import load
from caller import PASSWORD, Caller
from measure import Row, beside, listed, percentile
from service import Service, api_alone, embedded

SUMMARY = "p99 of other requests during a flood of logins, and of logins during a transcode, beside a quiet run"
RUNS = 3
SECONDS = 10
FLOOD_AHEAD_S = 1
LOGINS = 100
# Encoded anew, slowly: it outlasts the logins on every core.
LONG = {"outputs": [{"kind": "mp4", "video": {"speed": "best"}}, {"kind": "webm"}]}


def run() -> Iterator[Row]:
    yield flooded()
    yield transcoding()


def transcoding() -> Row:
    quiet, busy = [], []
    with embedded(RUSHES_TRUSTED_PROXIES="127.0.0.1/32", RUSHES_WORKERS="2") as service:
        caller = Caller(service)
        for number in range(RUNS):
            quiet += logins(service, caller.username, f"10.0.{number}.1")
            tasks = [caller.upload(clip.film(1280, 720), recipe=json.dumps(LONG)) for _ in range(2)]
            for task in tasks:
                until_encoding(caller, task)
            with guesser(service, caller.username):
                busy += logins(service, caller.username, f"10.0.{number}.1")
            for task in tasks:
                if caller.task(task)["status"] != "processing":
                    raise RuntimeError("the transcode ended before the logins")
                caller.ask("POST", f"/api/tasks/{task}/cancel")
                caller.delete(task)
    p99s = [percentile(times, 99) for times in (busy, quiet)]
    detail = f"{len(busy)} logins each; medians {listed([median(busy), median(quiet)], 'ms')}"
    return beside("login.transcode", *p99s, "ms", at_most=5.0, detail=detail)


def until_encoding(caller: Caller, task: int) -> None:
    deadline = time.monotonic() + 60
    while caller.task(task)["progress"]["phase"] != "transcode":
        if time.monotonic() > deadline:
            raise TimeoutError(f"task {task} does not begin")
        time.sleep(0.1)


def logins(service: Service, username: str, address: str) -> list[float]:
    """How long each of so many right logins took, in ms."""
    took = []
    for _ in range(LOGINS):
        begun = time.perf_counter()
        status = login(service, username, PASSWORD, address)
        took.append((time.perf_counter() - begun) * 1000)
        if status != 200:
            raise RuntimeError(f"the owner was answered with {status}")
    return took


@contextmanager
def guesser(service: Service, username: str) -> Iterator[None]:
    """Sends a wrong password each second, from an address of its own."""
    done = threading.Event()

    def guess() -> None:
        while not done.wait(1):
            login(service, username, "wrong-password", "10.9.9.9")

    thread = threading.Thread(target=guess)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def login(service: Service, username: str, password: str, address: str) -> int:
    """The status of one login through a proxy, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    body = json.dumps({"username": username, "password": password})
    connection.request("POST", "/api/auth/login", body, {"Content-Type": "application/json", "X-Forwarded-For": address})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


def flooded() -> Row:
    quiet, in_the_flood, checked = [], [], 0
    with api_alone(RUSHES_TRUSTED_PROXIES="127.0.0.1/32") as service:
        caller = Caller(service)
        task = caller.upload(clip.moving(160, 90, 1))
        options = [f"{service.url}/api/tasks/{task}", f"Authorization: {caller.headers['Authorization']}"]
        others(*options, seconds=2)
        for _ in range(RUNS):
            quiet.append(others(*options, seconds=SECONDS))
            p99_ms, passwords = in_flood(service, options)
            in_the_flood.append(p99_ms)
            checked += passwords
    detail = f"medians of {RUNS}: flood {listed(in_the_flood, 'ms')}; quiet {listed(quiet, 'ms')}; {checked} passwords checked"
    return beside("login", median(in_the_flood), median(quiet), "ms", at_most=2.0, detail=detail)


def others(url: str, token: str, seconds: int) -> float:
    return load.wrk(url, seconds, "-t1", "-c16", "-H", token, script="paced.lua").p99_ms


def in_flood(service: Service, options: list[str]) -> tuple[float, int]:
    """The p99 of the others, and how many passwords were checked meanwhile."""
    seconds = SECONDS + 2 * FLOOD_AHEAD_S
    with load.beside(f"{service.url}/api/auth/login", seconds, "-t1", "-c24", script="login_flood.lua") as flood:
        time.sleep(FLOOD_AHEAD_S)
        p99_ms = others(*options, seconds=SECONDS)
        text = flood().text
    checked, refused = map(int, re.search(r"Checked: (\d+)  Refused: (\d+)", text).groups())
    if refused > checked:
        raise RuntimeError(f"the flood was turned away, not checked:\n{text}")
    return p99_ms, checked
