"""How long a new task waits for an idle worker: `started_at` less `created_at`, on both setups.

The pauses between tasks differ, so that no rhythm of the worker can hide a wait or cause one each time.
"""

import random
import time
from contextlib import AbstractContextManager
from datetime import datetime

import clip
from caller import Caller
from measure import Row, alone, percentile
from service import Service, embedded, production

SUMMARY = "how long a new task waits for an idle worker, on both setups"
TASKS = 100
RECIPE = '{"outputs": [{"kind": "poster"}]}'  # the shortest work there is


def run() -> list[Row]:
    return [measured("pickup.embedded", embedded()), measured("pickup.postgres", production())]


def measured(name: str, setup: AbstractContextManager[Service]) -> Row:
    source, pauses = clip.moving(160, 90, 1), random.Random(1)
    waits = []
    with setup as service:
        caller = Caller(service)
        for _ in range(TASKS):
            task = caller.processed(caller.upload(source, recipe=RECIPE), every_ms=10)
            waits.append((moment(task["started_at"]) - moment(task["created_at"])) * 1000)
            time.sleep(pauses.uniform(0.05, 0.35))
    fifty, all_ = percentile(waits, 50), max(waits)
    detail = f"p99 of {TASKS} tasks; median {fifty:.0f} ms, longest {all_:.0f} ms"
    return alone(name, percentile(waits, 99), "ms", at_most=300, detail=detail)


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
