"""Resumable upload (tus) of a 2 GiB file: peak memory of the API process, and throughput against @tus/server.

Both get the file in one PATCH from the same client and write to the same disk. The API runs without a worker, on SQLite and a
local directory. It hashes the file, syncs it to disk and checks it; @tus/server with its file store does none of this.
"""

import http.client
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clip
from caller import Caller
from measure import Row, alone, in_turns, listed
from process import free_port, listens, peak_memory_bytes, reset_peak, running
from scratch import CACHE, ROOT
from service import api_alone
from transfer import send_file

SUMMARY = "memory and throughput of a resumable upload of 2 GiB, against @tus/server"
RUNS = 5
BYTES = 2 * clip.GIB
MIB = 1 << 20
PEER = ROOT / "bench/peers/tus"


def run() -> list[Row]:
    file = clip.padded(clip.moving(320, 180, 2), BYTES)
    ours, peers = [], []
    with api_alone() as service, tus_server(service.directory) as port:
        headers = Caller(service).headers
        reset_peak(service.pid)
        before = peak_memory_bytes(service.pid) / MIB
        for _ in range(RUNS):
            ours.append(speed(service.port, "/api/uploads", headers, file))
            peers.append(speed(port, "/files", {}, file))
        peak = peak_memory_bytes(service.pid) / MIB
    memory = f"peak of {RUNS} uploads; before the first: {before:.0f} MiB"
    detail = f"medians of {RUNS}: ours {listed(ours, 'MiB/s')}; @tus/server {listed(peers, 'MiB/s')}"
    return [
        alone("uploads.memory", peak, "MiB", at_most=64, detail=memory),
        in_turns("uploads.speed", ours, peers, "MiB/s", at_least=1.3, detail=detail),
    ]


def speed(port: int, endpoint: str, headers: dict[str, str], file: Path) -> float:
    """Creates an upload, sends the file, and removes the upload."""
    headers = headers | {"Tus-Resumable": "1.0.0"}
    path = ask(port, "POST", endpoint, headers | {"Upload-Length": str(BYTES), "Content-Length": "0"})
    os.sync()
    body = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    took, _ = send_file(port, headers | body, f"PATCH {path}", file)
    ask(port, "DELETE", path, headers)
    return BYTES / MIB / took


def ask(port: int, method: str, path: str, headers: dict[str, str]) -> str:
    """Sends a request without a body and returns the path in `Location`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    if reply.status not in (201, 204):
        raise RuntimeError(f"{method} {path} was answered with {reply.status}: {text.decode(errors='replace')}")
    location = reply.headers["Location"] or ""
    return "/" + location.split("/", 3)[3] if "://" in location or location.startswith("//") else location


@contextmanager
def tus_server(directory: Path) -> Iterator[int]:
    """Runs @tus/server with its file store below the directory; yields its port."""
    home, port = directory / "tus", free_port()
    (home / "files").mkdir(parents=True)
    command = ["node", installed() / "server.mjs", port, home / "files"]
    with running(command, home / "tus.log", lambda: listens(port)):
        yield port


def installed() -> Path:
    """The peer with its pinned packages, in bench/.cache."""
    home, lock = CACHE / "tus-server", (PEER / "package-lock.json").read_text()
    stamp = home / "installed.json"
    if not stamp.exists() or stamp.read_text() != lock:
        print("Installing @tus/server into bench/.cache", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(PEER, home)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(install, cwd=home, check=True, timeout=300)
        stamp.write_text(lock)
    return home
