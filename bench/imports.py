"""Imports of large manifests: a CSV file of 1,000,000 rows of videos with points (`BENCH_IMPORT_ROWS` sets another number).

`import.parse`: rows a second of the crate `manifest` beside those of the crate `csv`, both in memory, in turns.

`import.sqlite`, `import.postgres`: rows a second that a dry run copies into the database, from the first row to the last.
`import.memory`: peak memory of the process with SQLite until all rows are copied, minus that before the file is sent. So the
upload counts too, and what a new process loads at its first import.
"""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from caller import Caller
from measure import Row, alone, in_turns, listed
from process import peak_memory_bytes, memory_bytes, reset_peak
from scratch import directory
from service import Service, embedded, production

SUMMARY = "a manifest of a million rows: parsed beside the crate csv, copied into SQLite and Postgres; memory"
ROWS = int(os.environ.get("BENCH_IMPORT_ROWS", "1_000_000"))
LIMIT_S = 600
MIB = 1 << 20


def run() -> Iterator[Row]:
    with directory() as home:
        file = home / "manifest.csv"
        write(file)
        yield parsed(file)
        with embedded() as service:
            speed, grown = copied(service, file)
        yield alone("import.sqlite", speed, "/s", at_least=15_000, detail=f"{ROWS:,} rows, {file.stat().st_size / MIB:.0f} MiB")
        yield alone("import.memory", grown / MIB, "MiB", at_most=64, detail="growth of the process from before the upload to the last row")
        with production() as service:
            speed, _ = copied(service, file)
        yield alone("import.postgres", speed, "/s", at_least=10_000, detail=f"{ROWS:,} rows")


def write(file: Path) -> None:
    with open(file, "w", encoding="utf-8") as out:
        out.write("external_id,title,description,tags,region,lat,lon\n")
        for row in range(ROWS):
            out.write(f'x-{row},Flight {row},"Over fields, and back",drone;field,North,{row % 179 - 89}.{row % 10_000:04},{row % 180}.5\n')


def parsed(file: Path) -> Row:
    root = Path(__file__).resolve().parent.parent
    command = ["cargo", "run", "-q", "--release", "--locked", "-p", "manifest", "--example", "parse", str(file)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        raise RuntimeError(f"the parsers failed: {done.stderr[-2000:]}")
    runs = json.loads(done.stdout)
    ours, peers = runs["ours"], runs["csv"]
    detail = f"medians of {len(ours)}: ours {listed(ours, '/s')}; csv {listed(peers, '/s')}"
    return in_turns("import.parse", ours, peers, "/s", at_least=0.5, detail=detail)


def copied(service: Service, file: Path) -> tuple[float, int]:
    """Begins an import, and returns the rows a second that were copied, and the growth of memory in bytes."""
    caller = Caller(service)
    before = memory_bytes(service.pid)
    reset_peak(service.pid)
    found = begin(caller, file)
    deadline, first, first_rows = time.monotonic() + LIMIT_S, None, 0
    while time.monotonic() < deadline:
        found = caller.ask("GET", f"/api/imports/{found['id']}")
        rows, now = found["rows"]["total"], time.perf_counter()
        if found["status"] not in ("received", "staging", "running", "done"):
            raise RuntimeError(f"the import has failed: {found}")
        if rows and first is None:
            first, first_rows = now, rows
        if rows == ROWS:
            return (rows - first_rows) / (now - first), peak_memory_bytes(service.pid) - before
        time.sleep(0.05)
    raise TimeoutError(f"the import was not copied in {LIMIT_S} s: {found}")


def begin(caller: Caller, file: Path) -> dict:
    boundary = uuid.uuid4().hex
    fields = {"kind": "videos", "dry_run": "true"}
    head = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="manifest.csv"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return caller.ask("POST", "/api/imports", body, f"multipart/form-data; boundary={boundary}")
