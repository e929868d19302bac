"""Throughput of `GET /api/tasks/{id}` for processed tasks (token check, rows of task, source and outputs, signed links), with
32 connections that request 32 tasks in turn; and with `If-None-Match`, for clients that know the tasks already."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import clip
from caller import Caller
from load import Load, wrk
from measure import Row, alone
from service import Service, embedded, production

SUMMARY = "GET /api/tasks/{id} with 32 connections, on SQLite and on Postgres"
WARM_UP_S = 2
TASKS = 32
SECONDS = 10


def run() -> Iterator[Row]:
    yield from measured("api.sqlite", embedded())
    yield from measured("api.postgres", production())


def measured(name: str, setup: AbstractContextManager[Service]) -> Iterator[Row]:
    with setup as service:
        caller = Caller(service)
        tasks = [processed(caller) for _ in range(TASKS)]
        options = ["-t2", "-c32", "-H", f"Authorization: {caller.headers['Authorization']}"]
        wrk(service.url, WARM_UP_S, *options, script="tasks.lua", arguments=tasks)
        load = wrk(service.url, SECONDS, *options, script="tasks.lua", arguments=tasks)
        yield alone(name, load.per_second, "/s", at_least=5000, detail=detail_of(load))
        known = [f"{task},{caller.etag(task)}" for task in tasks]
        unchanged = wrk(service.url, SECONDS, *options, script="tasks.lua", arguments=known, refusals=True)
        ratio = unchanged.per_second / load.per_second
        detail = f"{detail_of(unchanged)}; {ratio:.2f} of {name}"
        yield alone(f"{name}.304", unchanged.per_second, "/s", at_least=5000, detail=detail)


def detail_of(load: Load) -> str:
    return f"{SECONDS} s, wrk on the same machine; p99 {load.p99_ms:.1f} ms"


def processed(caller: Caller) -> int:
    """Creates a processed task with two outputs and returns its id."""
    task = caller.upload(clip.moving(160, 90, 1), preset="web")
    caller.processed(task, every_ms=50)
    return task
