"""Lookups of the points of a manifest (`BENCH_LOOKUP_ROWS` sets another number than 200,000) at a service that needs 20 ms for
an answer of 100 points. Four calls at a time allow 20,000 rows a second, which the speed is divided by: from the first row that
was looked up to the last, on SQLite.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from caller import Caller
from imports import begin
from measure import Row, beside
from scratch import directory
from service import Service, embedded

SUMMARY = "points of a manifest looked up at a service with 20 ms of latency, beside what four calls at a time allow"
ROWS = int(os.environ.get("BENCH_LOOKUP_ROWS", "200_000"))
ALLOWED = 4 * 100 / 0.02
LIMIT_S = 300


def run() -> Iterator[Row]:
    with directory() as home, peer() as port:
        file = home / "points.csv"
        with open(file, "w", encoding="utf-8") as out:
            out.write("lat,lon\n")
            out.writelines(f"{row // 10_000}.{row % 10_000:04},{row % 180}.5\n" for row in range(ROWS))
        with embedded(RUSHES_LOOKUP_URL=f"http://127.0.0.1:{port}/", RUSHES_LOOKUP_RATE="1000") as service:
            speed = looked_up(service, file)
    yield beside("import.lookup", speed, ALLOWED, "/s", at_least=0.8, detail=f"{ROWS:,} rows")


@contextmanager
def peer() -> Iterator[int]:
    script = Path(__file__).parent / "peers" / "lookup_service.py"
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def looked_up(service: Service, file: Path) -> float:
    caller = Caller(service)
    found = begin(caller, file)
    deadline, first, first_rows = time.monotonic() + LIMIT_S, None, 0
    while time.monotonic() < deadline:
        found = caller.ask("GET", f"/api/imports/{found['id']}")
        rows, now = found["lookup"]["found"], time.perf_counter()
        if found["lookup"]["failed"] or found["status"] not in ("received", "staging", "running", "done"):
            raise RuntimeError(f"a lookup has failed: {found}")
        if rows and first is None:
            first, first_rows = now, rows
        if rows == ROWS:
            return (rows - first_rows) / (now - first)
        time.sleep(0.05)
    raise TimeoutError(f"the points were not looked up in {LIMIT_S} s: {found}")
