"""How much a flood of logins slows the others: p99 of `GET /api/tasks/{id}` in the flood against p99 of a quiet run.

The others are 16 clients that ask some 50 times a second each. The flood is 24 connections with wrong passwords, as fast as
answers come, from ever new addresses and for ever new users, so that every one of them costs a password check.
"""

import re
import time
from statistics import median

import clip
import load
from caller import Caller
from measure import Row, beside, listed
from service import Service, api_alone

SUMMARY = "p99 of other requests during a flood of logins, beside a quiet run"
RUNS = 3
SECONDS = 10
FLOOD_AHEAD_S = 1


def run() -> list[Row]:
    quiet, flooded, checked = [], [], 0
    with api_alone(RUSHES_TRUSTED_PROXIES="127.0.0.1/32") as service:
        caller = Caller(service)
        task = caller.upload(clip.moving(160, 90, 1))
        options = [f"{service.url}/api/tasks/{task}", f"Authorization: {caller.headers['Authorization']}"]
        others(*options, seconds=2)
        for _ in range(RUNS):
            quiet.append(others(*options, seconds=SECONDS))
            p99_ms, passwords = in_flood(service, options)
            flooded.append(p99_ms)
            checked += passwords
    detail = f"medians of {RUNS}: flood {listed(flooded, 'ms')}; quiet {listed(quiet, 'ms')}; {checked} passwords checked"
    return [beside("login", median(flooded), median(quiet), "ms", at_most=2.0, detail=detail)]


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
