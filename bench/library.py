"""The library with 1,000,000 public videos (`BENCH_LIBRARY_VIDEOS` sets another number), on SQLite.

`library.fill`: time in which a process fills its catalog from the database, from its log.

`library.memory`: memory of the process (RSS) with this library, minus that with an empty library after the same requests. The
greater value of that after the fill and that after the searches.

`library.search`: p99 of `GET /api/library/search` at 50 requests per second in an open loop, with the mix of queries.py.
`library.peer`: the same against full-text search of Postgres with the same videos, queries, rate and connections, and with
its default memory. Its clients also read the complete reply. Postgres ranks all hits, Rushes the newest 2,000. When Postgres
does not keep up with the rate, its p99 is the length of the queue and not a property of a query; so the smaller of two
values is compared: the p99 at the rate, and that of one connection which sends the same queries in turn.

`library.lag` and `library.grpc`: see library_lag.py and library_grpc.py.
"""

import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import library_grpc
import library_lag
import queries
import stores
import videos
from measure import Row, alone, beside, percentile
from open_loop import latencies_ms
from peer_python import PEERS, python_with
from process import memory_bytes, peak_memory_bytes
from queries import Query
from scratch import directory
from service import Service, part

SUMMARY = "fill, memory and searches of a library of a million videos, against Postgres; lag between servers; gRPC against REST"
VIDEOS = int(os.environ.get("BENCH_LIBRARY_VIDEOS", "1_000_000"))
RATE = 50
SECONDS = 40
LIMIT_S = 1.5 * SECONDS
CONNECTIONS = 8
WARM_UP = 200
FILL_S = 400
MIB = 1 << 20


def run() -> Iterator[Row]:
    warm_up, measured = queries.mixed(WARM_UP, VIDEOS, seed=1), queries.mixed(RATE * SECONDS, VIDEOS, seed=2)
    with service_with(0) as (service, _):
        latencies_ms(Searcher(service).connect, warm_up, connections=CONNECTIONS)
        empty = memory_bytes(service.pid)
    with service_with(VIDEOS) as (service, fill_s):
        yield alone("library.fill", fill_s, "s", at_most=60, detail=f"{VIDEOS:,} videos; {load_average()}")
        filled, peak = memory_bytes(service.pid), peak_memory_bytes(service.pid)
        latencies_ms(Searcher(service).connect, warm_up, connections=1)
        searcher = Searcher(service)
        latencies = latencies_ms(searcher.connect, measured, connections=CONNECTIONS, rate=RATE, limit_s=LIMIT_S)
        yield memory(empty, filled, memory_bytes(service.pid), peak)
        yield searches(latencies, measured, searcher)
        yield library_grpc.row(service)
    yield beside_postgres(latencies, warm_up, measured)
    yield library_lag.row()


@contextmanager
def service_with(count: int) -> Iterator[tuple[Service, float]]:
    """A backend whose library has this number of videos, and the seconds in which it filled its catalog."""
    with directory() as home:
        videos.migrate(home)
        if count:
            videos.insert(home, count)
        with part("backend", home, {}) as service:
            yield service, filled_s(home / "backend.log")


def filled_s(log: Path) -> float:
    deadline = time.monotonic() + FILL_S
    while time.monotonic() < deadline:
        line = re.search(r".*filled the catalog.*", log.read_text(errors="replace"))
        if line:
            return int(re.search(r"took_ms\W+(\d+)", line[0])[1]) / 1000
        time.sleep(0.2)
    raise TimeoutError(f"the catalog was not filled within {FILL_S} s")


def memory(empty: int, filled: int, searched: int, peak: int) -> Row:
    detail = f"RSS with an empty library {empty / MIB:.0f} MiB, after the fill {filled / MIB:.0f} MiB, after the searches "
    detail += f"{searched / MIB:.0f} MiB; peak of the fill {peak / MIB:.0f} MiB"
    return alone("library.memory", (max(filled, searched) - empty) / MIB, "MiB", at_most=150, detail=detail)


class Searcher:
    """Opens connections to a service, and collects the searches on them that found nothing and those that were refused."""

    def __init__(self, service: Service):
        self.port, self.empty, self.refused = service.port, [], []

    def connect(self) -> Callable[[Query], None]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.connect()

        def search(query: Query) -> None:
            connection.request("GET", query.path())
            reply = connection.getresponse()
            text = reply.read()
            if reply.status == 503:  # a search ends after a second
                self.refused.append(query)
            elif reply.status != 200:
                raise RuntimeError(f"{query} was answered with {reply.status}: {text.decode(errors='replace')}")
            elif text.startswith(b'{"data":[]'):
                self.empty.append(query)

        return search


def searches(latencies: list[float], measured: list[Query], searcher: Searcher) -> Row:
    """The goal is missed if a search was refused."""
    kinds = {}
    for latency, query in zip(latencies, measured, strict=True):
        kinds.setdefault(query.kind, []).append(latency)
    each = ", ".join(f"{kind} {median(kinds[kind]):.1f}/{percentile(kinds[kind], 99):.1f}" for kind in queries.SHARES if kind in kinds)
    detail = f"{RATE}/s for {SECONDS} s, {len(searcher.empty)} without a hit, {len(searcher.refused)} refused; median "
    detail += f"{median(latencies):.1f} ms; median/p99 in ms: {each}; {load_average()}"
    row = alone("library.search", percentile(latencies, 99), "ms", at_most=30, detail=detail)
    return replace(row, met=row.met and not searcher.refused)


def beside_postgres(ours: list[float], warm_up: list[Query], measured: list[Query]) -> Row:
    python = python_with("search", "search_requirements.txt")
    with directory() as home, stores.postgres() as url:
        file = home / "queries.json"
        requests = {"warm_up": list(map(asdict, warm_up)), "measured": list(map(asdict, measured))}
        file.write_text(json.dumps(requests))
        command = [python, PEERS / "search_by_postgres.py", url, VIDEOS, file, RATE, CONNECTIONS]
        done = subprocess.run(map(str, command), capture_output=True, text=True, timeout=800)
    if done.returncode != 0:
        raise RuntimeError(f"the search in Postgres failed: {done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    at_rate, in_turn = (percentile(result[name], 99) for name in ("at_rate", "in_turn"))
    detail = f"Postgres at {RATE}/s: median {median(result['at_rate']):.1f} ms, p99 {at_rate:.0f} ms, {result['empty']} without "
    detail += f"a hit; {len(result['in_turn'])} in turn: median {median(result['in_turn']):.1f} ms, p99 {in_turn:.0f} ms; filled "
    detail += f"and indexed in {result['filled_s']:.0f} s; {load_average()}"
    return beside("library.peer", percentile(ours, 99), min(at_rate, in_turn), "ms", at_most=0.25, detail=detail)


def load_average() -> str:
    return f"load average {os.getloadavg()[0]:.1f}"
