"""Interference between logins and other work, in both directions.

`login`: the slowdown of other requests by a flood of logins. p99 of `GET /api/tasks/{id}` during the flood, against p99
without one. 16 clients send about 50 requests per second each. The flood is 24 connections that send wrong passwords as fast
as replies come, each from a new address and for a new user, so that no throttle answers in place of the password check.

`login.transcode`: the slowdown of a login with the right password by a transcode on every core. p99 of sequential logins,
against p99 on an idle service. Another client sends a wrong password for the same account every second.
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

SUMMARY = "p99 of other requests during a flood of logins, and of logins during a transcode, against an idle service"
RUNS = 3
SECONDS = 10
FLOOD_AHEAD_S = 1
LOGINS = 100
# A slow encode that takes longer than the logins and uses every core.
LONG = {"outputs": [{"kind": "mp4", "video": {"speed": "best"}}, {"kind": "webm"}]}


def run() -> Iterator[Row]:
    yield with_flood()
    yield with_transcode()


def with_transcode() -> Row:
    quiet, busy = [], []
    with embedded(RUSHES_TRUSTED_PROXIES="127.0.0.1/32", RUSHES_WORKERS="2") as service:
        caller = Caller(service)
        for number in range(RUNS):
            quiet += logins(service, caller.username, f"10.0.{number}.1")
            tasks = [caller.upload(clip.long_clip(1280, 720), recipe=json.dumps(LONG)) for _ in range(2)]
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
            raise TimeoutError(f"the transcode of task {task} does not start")
        time.sleep(0.1)


def logins(service: Service, username: str, address: str) -> list[float]:
    """The duration of each of `LOGINS` successful logins, in ms."""
    durations = []
    for _ in range(LOGINS):
        begun = time.perf_counter()
        status = login(service, username, PASSWORD, address)
        durations.append((time.perf_counter() - begun) * 1000)
        if status != 200:
            raise RuntimeError(f"the login got {status}")
    return durations


@contextmanager
def guesser(service: Service, username: str) -> Iterator[None]:
    """Sends a wrong password every second, from another address, while the block runs."""
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
    """Sends one login on a new connection, with this client address in `X-Forwarded-For`; returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    body = json.dumps({"username": username, "password": password})
    connection.request("POST", "/api/auth/login", body, {"Content-Type": "application/json", "X-Forwarded-For": address})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status


def with_flood() -> Row:
    quiet, flooded, checked = [], [], 0
    with api_alone(RUSHES_TRUSTED_PROXIES="127.0.0.1/32") as service:
        caller = Caller(service)
        task = caller.upload(clip.moving(160, 90, 1))
        options = [f"{service.url}/api/tasks/{task}", f"Authorization: {caller.headers['Authorization']}"]
        p99_of_polls(*options, seconds=2)
        for _ in range(RUNS):
            quiet.append(p99_of_polls(*options, seconds=SECONDS))
            p99_ms, passwords = p99_during_flood(service, options)
            flooded.append(p99_ms)
            checked += passwords
    detail = f"medians of {RUNS}: flood {listed(flooded, 'ms')}; quiet {listed(quiet, 'ms')}; {checked} passwords checked"
    return beside("login", median(flooded), median(quiet), "ms", at_most=2.0, detail=detail)


def p99_of_polls(url: str, token: str, seconds: int) -> float:
    return load.wrk(url, seconds, "-t1", "-c16", "-H", token, script="paced.lua").p99_ms


def p99_during_flood(service: Service, options: list[str]) -> tuple[float, int]:
    """The p99 of polls during the flood, and the number of passwords that were checked."""
    seconds = SECONDS + 2 * FLOOD_AHEAD_S
    with load.beside(f"{service.url}/api/auth/login", seconds, "-t1", "-c24", script="login_flood.lua") as flood:
        time.sleep(FLOOD_AHEAD_S)
        p99_ms = p99_of_polls(*options, seconds=SECONDS)
        text = flood().text
    checked, refused = map(int, re.search(r"Checked: (\d+)  Refused: (\d+)", text).groups())
    if refused > checked:
        raise RuntimeError(f"most logins of the flood were refused without a password check:\n{text}")
    return p99_ms, checked
