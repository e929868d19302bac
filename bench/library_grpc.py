"""Throughput of `ListVideos` by gRPC against `GET /api/library` by REST, the same page of 20 videos.

Both are requested by h2load over HTTP/2 with the same connections and streams. h2load decodes neither JSON nor Protocol
Buffers, so its cost is that of HTTP/2 alone; real clients of gRPC and REST spend more, and differently. It runs on the same
cores, so the CPU time of the server for a request is shown, too.
"""

import re
import subprocess
from dataclasses import dataclass
from statistics import median

from measure import Row, amount, listed
from process import cpu_s
from scratch import directory
from service import Service

RUNS = 3
SECONDS = 6
WARM_UP_S = 1
LEAST, MOST = 0.80, 1.25  # within 20 % of each other
METHOD = "/rushes.v1.LibraryService/ListVideos"
EMPTY_MESSAGE = bytes(5)  # flag of compression and length of the message, both 0
HEADERS = ["-H", "content-type: application/grpc", "-H", "te: trailers"]


@dataclass(frozen=True)
class Load:
    """Requests per second, CPU time of the server for one in ms, and the bytes of its reply."""

    per_second: float
    cpu_ms: float
    reply_bytes: float


def row(service: Service) -> Row:
    with directory() as home:
        message = home / "message"
        message.write_bytes(EMPTY_MESSAGE)
        grpc = [*HEADERS, "-d", message, f"{service.url}{METHOD}"]
        check(grpc)
        runs = [(h2load(service, grpc), h2load(service, [f"{service.url}/api/library"])) for _ in range(RUNS)]
    ours, peers = zip(*runs, strict=True)
    rates = [[load.per_second for load in loads] for loads in (ours, peers)]
    ratio = median(mine / theirs for mine, theirs in zip(*rates, strict=True))
    goal = f"{LEAST:.2f} to {MOST:.2f}"
    detail = f"medians of {RUNS}: gRPC {described(ours)}; REST {described(peers)}"
    values = [amount(median(each), "/s") for each in rates]
    return Row("library.grpc", *values, f"{ratio:.2f}", goal, LEAST <= ratio <= MOST, detail)


def described(loads: tuple[Load, ...]) -> str:
    rates = listed([load.per_second for load in loads], "/s")
    cpu, size = median(load.cpu_ms for load in loads), median(load.reply_bytes for load in loads)
    return f"{rates}, {cpu:.2f} ms of CPU of the server and {size / 1000:.1f} kB each"


def check(arguments: list) -> None:
    """Raises an error unless the call succeeds: h2load does not read the status in the trailers."""
    reply = subprocess.run(["nghttp", "-v", *map(str, arguments)], capture_output=True, timeout=30)
    if b"grpc-status: 0" not in reply.stdout:
        raise RuntimeError(f"ListVideos failed: {reply.stdout[-2000:].decode(errors='replace')}")


def h2load(service: Service, arguments: list) -> Load:
    """Loads the service with 8 connections of 4 streams. The CPU time includes that of the warm-up, and so does the divisor."""
    options = ["-t1", "-c8", "-m4", "-D", SECONDS, f"--warm-up-time={WARM_UP_S}"]
    before = cpu_s(service.pid)
    done = subprocess.run(
        ["h2load", *map(str, [*options, *arguments])], capture_output=True, text=True, timeout=SECONDS + WARM_UP_S + 30
    )
    used_s = cpu_s(service.pid) - before
    total, succeeded = map(int, re.search(r"requests: (\d+) total,.* (\d+) succeeded", done.stdout).groups())
    # `data` counts the warm-up too, at about the same rate.
    data_bytes = int(re.search(r"\((\d+)\) data", done.stdout)[1])
    replies = total * (SECONDS + WARM_UP_S) / SECONDS
    if not succeeded or succeeded != total:
        raise RuntimeError(f"unexpected result of h2load:\n{done.stdout}{done.stderr}")
    return Load(succeeded / SECONDS, used_s / replies * 1000, data_bytes / replies)
