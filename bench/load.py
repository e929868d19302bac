"""HTTP load with wrk, to this machine and for a fixed time."""

import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent / "wrk"
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """The result of wrk."""

    per_second: float
    p99_ms: float
    text: str


def wrk(url: str, seconds: int, *options: str, script: str = "", arguments: tuple = (), refusals: bool = False) -> Load:
    """Requests `url`, or the requests that the script builds from the arguments. A reply other than 2xx is an error unless
    `refusals` is set."""
    full_command = [*command(url, seconds, options, script), "--", *map(str, arguments)]
    done = subprocess.run(full_command, capture_output=True, text=True, timeout=seconds + 30)
    return read(done.stdout + done.stderr, refusals)


@contextmanager
def beside(url: str, seconds: int, *options: str, script: str):
    """Runs wrk in the background while the block runs; yields a function that waits for its end and returns the result."""
    child = subprocess.Popen(command(url, seconds, options, script), stdout=subprocess.PIPE, text=True)
    try:
        yield lambda: read(child.communicate(timeout=seconds + 30)[0], refusals=True)
    finally:
        child.kill()
        child.wait()


def command(url: str, seconds: int, options: tuple[str, ...], script: str) -> list[str]:
    scripted = ["-s", str(SCRIPTS / script)] if script else []
    return ["wrk", "--latency", "--timeout", "10s", "-d", f"{seconds}s", *options, *scripted, url]


def read(text: str, refusals: bool) -> Load:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text)
    if not rate or not p99 or "Socket errors" in text or (not refusals and "Non-2xx" in text):
        raise RuntimeError(f"unexpected result of wrk:\n{text}")
    return Load(float(rate[1]), float(p99[1]) * UNITS_MS[p99[2]], text)
