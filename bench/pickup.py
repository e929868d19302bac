"""Time until an idle worker claims a new task: `started_at` minus `created_at`, on both setups.

The pauses between tasks are random, so that they do not synchronize with the polling interval of the worker.
"""

import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from statistics import median

import clip
from caller import Caller
from measure import Row, alone, percentile
from service import Service, embedded, production

SUMMARY = "time until an idle worker claims a new task, on both setups"
TASKS = 100
RECIPE = '{"outputs": [{"kind": "poster"}]}'  # the shortest task


def run() -> Iterator[Row]:
    yield measured("pickup.embedded", embedded())
    yield measured("pickup.postgres", production())


def measured(name: str, setup: AbstractContextManager[Service]) -> Row:
    source, pauses = clip.moving(160, 90, 1), random.Random(1)
    waits = []
    with setup as service:
        caller = Caller(service)
        for _ in range(TASKS):
            task = caller.processed(caller.upload(source, recipe=RECIPE), every_ms=10)
            waits.append((timestamp(task["started_at"]) - timestamp(task["created_at"])) * 1000)
            time.sleep(pauses.uniform(0.05, 0.35))
    ranked = sorted(range(TASKS), key=lambda index: -waits[index])
    longest = ", ".join(f"{waits[index]:.0f} ms (task {index + 1})" for index in ranked[:3])
    detail = f"p99 of {TASKS} tasks; median {median(waits):.0f} ms, longest {longest}"
    return alone(name, percentile(waits, 99), "ms", at_most=300, detail=detail)


def timestamp(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
