"""`GET /api/tasks/{id}` of a processed task (token, row, source, outputs, signed links) with 32 connections."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import clip
from caller import Caller
from load import wrk
from measure import Row, alone
from service import Service, embedded, production

SUMMARY = "GET /api/tasks/{id} with 32 connections, on SQLite and on Postgres"
WARM_UP_S = 2
SECONDS = 10


def run() -> Iterator[Row]:
    yield measured("api.sqlite", embedded())
    yield measured("api.postgres", production())


def measured(name: str, setup: AbstractContextManager[Service]) -> Row:
    with setup as service:
        caller = Caller(service)
        task = caller.upload(clip.moving(160, 90, 1), preset="web")
        caller.processed(task, every_ms=50)
        url, token = f"{service.url}/api/tasks/{task}", f"Authorization: {caller.headers['Authorization']}"
        options = ["-t2", "-c32", "-H", token]
        wrk(url, WARM_UP_S, *options)
        load = wrk(url, SECONDS, *options)
    detail = f"{SECONDS} s, wrk on the same machine; p99 {load.p99_ms:.1f} ms"
    return alone(name, load.per_second, "/s", at_least=5000, detail=detail)
