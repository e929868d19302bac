"""Upload of a 2 GiB file: peak memory of the API process, and throughput against PUT of the same file to nginx.

The API runs without a worker, on SQLite and a local directory. nginx is Debian's, with its dav module and defaults, and
writes to the same disk. The file is a clip with padding that is a hole in a sparse file, so that reading it is cheap for
both. Rushes hashes the file and syncs it to disk; nginx does neither.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clip
from caller import BOUNDARY, Caller, form
from measure import Row, alone, in_turns, listed
from process import free_port, listens, peak_memory_bytes, reset_peak, running
from service import api_alone
from transfer import send_file

SUMMARY = "memory of the API and throughput of a 2 GiB upload, against PUT to nginx"
RUNS = 5
BYTES = 2 * clip.GIB
MIB = 1 << 20


def run() -> list[Row]:
    file = clip.padded(clip.moving(320, 180, 2), BYTES)
    ours, peers = [], []
    with api_alone() as service, nginx(service.directory) as port:
        caller = Caller(service)
        # Without the peak of the password check at login.
        reset_peak(service.pid)
        before = peak_memory_bytes(service.pid) / MIB
        for _ in range(RUNS):
            ours.append(speed(ours_once(caller, service.port, file)))
            peers.append(speed(nginx_once(port, service.directory, file)))
        peak = peak_memory_bytes(service.pid) / MIB
    memory = f"peak of {RUNS} uploads; before the first: {before:.0f} MiB"
    detail = f"medians of {RUNS}: ours {listed(ours, 'MiB/s')}; nginx {listed(peers, 'MiB/s')}"
    return [
        alone("upload.memory", peak, "MiB", at_most=40, detail=memory),
        in_turns("upload.speed", ours, peers, "MiB/s", at_least=0.5, detail=detail),
    ]


def speed(seconds: float) -> float:
    return BYTES / MIB / seconds


def ours_once(caller: Caller, port: int, file: Path) -> float:
    before, after = form("clip.mp4")
    head = caller.headers | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    os.sync()
    took, reply = send_file(port, head, "POST /api/tasks", file, before, after)
    caller.delete(json.loads(re.search(rb"\{.*\}", reply)[0])["task_id"])
    return took


def nginx_once(port: int, directory: Path, file: Path) -> float:
    os.sync()
    took, _ = send_file(port, {}, "PUT /clip.mp4", file)
    (directory / "nginx/files/clip.mp4").unlink()
    return took


@contextmanager
def nginx(directory: Path) -> Iterator[int]:
    """Runs nginx with PUT enabled, storing files below the directory; yields its port."""
    home, port = directory / "nginx", free_port()
    (home / "files").mkdir(parents=True)
    (home / "nginx.conf").write_text(f"""
        {"user root root;" if os.geteuid() == 0 else ""}
        daemon off;
        worker_processes auto;
        pid {home}/nginx.pid;
        error_log stderr;
        events {{}}
        http {{
            access_log off;
            client_max_body_size 0;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            server {{
                listen 127.0.0.1:{port};
                root {home}/files;
                dav_methods PUT;
            }}
        }}
    """)
    command = ["nginx", "-e", "stderr", "-p", home, "-c", home / "nginx.conf"]
    with running(command, home / "nginx.log", lambda: listens(port)):
        yield port
